"""What a registered version carries about its validation, and the log of later drift checks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from pydantic import JsonValue

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import file_digest
from xmed.records.drift import ValidationReference
from xmed.records.record import read_record
from xmed.registry.fetch_model import served
from xmed.registry.package import download
from xmed.registry.tracking_store import client, experiment, registry_lock
from xmed.registry.version_evidence import MONITOR, REPORT

SHA256 = f"{MONITOR}_sha256"


def reference_of(reference: str, home: Path) -> ValidationReference | None:
    """Read what a registered version was validated on, in numbers.

    Args:
        reference: models:/NAME@alias or models:/NAME/3.
        home: The home.

    Returns:
        monitor.json among the evidence of the version; None where the version has none.

    Raises:
        XmedError: As `fetch`; MODEL_INVALID also where the document is gone or not the one that was registered.
    """
    entry = served(reference, home)
    if SHA256 not in entry.tags:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = _carried(entry, f"{MONITOR}.json", Path(scratch), home)
        except (MlflowException, OSError) as problem:
            what = f"the reference of '{reference}' cannot be fetched: {problem}"
            raise XmedError("MODEL_INVALID", what, "monitor.json among its evidence") from problem
        if file_digest(path) != entry.tags[SHA256]:
            raise XmedError("MODEL_INVALID", f"the reference of '{reference}' is not the one that was registered")
        return read_record(ValidationReference, path, "MODEL_INVALID")


def report_of(reference: str, home: Path) -> dict[str, JsonValue] | None:
    """Read the report that a version was registered with.

    Args:
        reference: models:/NAME@alias or models:/NAME/3.
        home: The home.

    Returns:
        report.json among the evidence of the version; None where it is gone or another one.

    Raises:
        XmedError: MODEL_NOT_FOUND.
    """
    entry = served(reference, home)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = _carried(entry, REPORT, Path(scratch), home)
            report = documents.read_mapping(path)
        except (MlflowException, OSError, XmedError):
            return None
    return report if report.get("report_id") == entry.tags.get("report_id") else None


def _carried(entry: ModelVersion, name: str, folder: Path, home: Path) -> Path:
    uri = client(home).get_model_version_download_uri(entry.name, entry.version)
    return Path(download(f"{uri}/artifacts/evidence/{name}", folder, home))


def log_check(
    study: str, name: str, tags: Mapping[str, str], metrics: Mapping[str, float], folder: Path, home: Path
) -> str:
    """Log a drift check to MLflow, beside the runs of its study: metrics, tags, the files of a folder.

    Args:
        study: Name of the study that made the model, which is the MLflow experiment.
        name: Name of the MLflow run.
        tags: Its tags.
        metrics: Its metrics.
        folder: Folder whose files become artifacts, below `drift`.
        home: The home.

    Returns:
        The id of the MLflow run.
    """
    with registry_lock(home):
        registry = client(home)
        run = str(registry.create_run(experiment(registry, study, home), run_name=name, tags=dict(tags)).info.run_id)
        for key, value in metrics.items():
            registry.log_metric(run, key, value)
        registry.log_artifacts(run, str(folder), "drift")
        registry.set_terminated(run, "FINISHED")
    return run
