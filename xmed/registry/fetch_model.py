"""Turns the name of a model into a local folder whose weights match their checksum."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from xmed.errors import XmedError
from xmed.home import Home
from xmed.io.notes import add_note
from xmed.model.folder import check_model, is_model
from xmed.registry import audit_log, audit_state, ledger
from xmed.registry.tracking_store import client, is_there, tracking_uri

FORMS = "models:/name@alias, models:/name/3 or a model folder"
REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def fetch(reference: str, home: Path) -> Path:
    """Find or download the folder of a model (weights.safetensors, model.json); its code is neither read nor run.

    From a registry only models with records in the audit log are returned; a note says if a version was withdrawn.

    Args:
        reference: models:/NAME@alias, models:/NAME/3, or a model folder.
        home: The home.

    Returns:
        The folder; a downloaded one lies in `models` of the home. Its weights match their checksum.

    Raises:
        XmedError: MODEL_NOT_FOUND; MODEL_INVALID, where it is not what was registered; MODEL_REFUSED, for an alias or a
            version without a record; REGISTRY_ELSEWHERE, for a model whose records are in another home.
    """
    if not reference.startswith("models:"):
        folder = Path(reference)
        if not folder.is_dir():
            raise _lost(reference)
        check_model(folder)
        return folder.absolute()
    entry = served(reference, home)
    expected = entry.tags.get("weights_sha256")
    if not expected:
        raise XmedError("MODEL_INVALID", f"'{reference}' carries no weights_sha256", "a model that xmed registered")
    folder = Home(home).models / entry.name / f"{entry.version}-{expected[:12]}"
    if not is_model(folder):
        _download(entry, folder, home)
    check_model(folder, entry.tags)
    return folder


def served(reference: str, home: Path) -> ModelVersion:
    """Find the version that a reference names, and check it against the audit log. Raises as `fetch`."""
    entry, records = version_of(reference, home), audit_log.records(home)
    if not audit_state.has_records(home, entry.name):
        ledger.check_owner(home, entry.name)
        raise _unrecorded(f"'{entry.name}' is in the registry, and the audit log has no record of it")
    if problems := audit_state.unrecorded_tags(entry, records):
        raise _unrecorded(problems[0])
    standing = audit_state.Standing.of(records, entry.name)
    match = REFERENCE.fullmatch(reference)
    alias = match and match["alias"]
    if alias and int(entry.version) not in standing.holders.get(alias, set()):
        raise _unrecorded(f"no record gave {entry.name} version {entry.version} the alias {alias}")
    if withdrawal := standing.withdrawn.get(int(entry.version)):
        what = f"{entry.name} version {entry.version} was withdrawn on {withdrawal.at[:10]}: {withdrawal.meaning}"
        add_note("WITHDRAWN", what)
    return entry


def _unrecorded(what: str) -> XmedError:
    do = "`xmed audit verify` says more; register and approve with xmed, which keeps the log"
    return XmedError("MODEL_REFUSED", what, "what the audit log has a record of", do)


def _lost(reference: str) -> XmedError:
    return XmedError("MODEL_NOT_FOUND", f"no model '{reference}'", FORMS, "`xmed models` lists what is registered")


def version_of(reference: str, home: Path) -> ModelVersion:
    """Find the registered version that a reference names.

    Args:
        reference: models:/NAME@alias or models:/NAME/3.
        home: The home.

    Returns:
        MLflow's entry of the version, with its tags.

    Raises:
        XmedError: MODEL_NOT_FOUND.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None or not is_there(home):
        raise _lost(reference)
    name, alias, number = match["name"], match["alias"], match["version"]
    registry = client(home)
    try:
        return registry.get_model_version_by_alias(name, alias) if alias else registry.get_model_version(name, number)
    except MlflowException as problem:
        if problem.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise _lost(reference) from problem


def _download(entry: ModelVersion, folder: Path, home: Path) -> None:
    """Download the model's own folder from the registry's artifacts, completely or not at all."""
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    part.mkdir(parents=True)
    try:
        uri = client(home).get_model_version_download_uri(entry.name, entry.version)
        downloaded = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{uri}/artifacts/model", dst_path=str(part), tracking_uri=tracking_uri(home)
        )
        check_model(Path(downloaded), entry.tags)
        Path(downloaded).rename(folder)
    except (MlflowException, OSError) as problem:
        what = f"'{entry.name}' version {entry.version} cannot be fetched: {problem}"
        raise XmedError("MODEL_INVALID", what, "a model folder among its artifacts") from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
