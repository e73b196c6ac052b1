"""Logs a finished run to MLflow: one MLflow run for the study, and one per arm and seed; closes runs of killed jobs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run as MlflowRun, RunTag

from xmed import __version__
from xmed.files import documents
from xmed.files.digest import file_digest
from xmed.records.data_summary import CohortSummary, DataSummary
from xmed.records.provenance import FixedProtocol
from xmed.records.record import content
from xmed.records.training import Training
from xmed.registry.recheck import record_origin
from xmed.registry.tracking_store import client, experiment, is_there, registry_lock
from xmed.run import Run

METRICS_A_CALL, PARAMS_A_CALL, PARAM_LENGTH = 1000, 100, 6000  # limits of MLflow's log-batch
POINTS_A_CURVE = 200
"""As many as a plot is wide: MLflow keeps a row of its database for each. losses.csv in the run's folder has all."""
DOCUMENTS = ("study", "protocol", "data", "selection", "environment", "errors")
RUN_TAG = "xmed.run"
ARM_TAG, SEED_TAG, PARENT_TAG = "xmed.arm", "xmed.seed", "mlflow.parentRunId"
REASON_TAG = "xmed.closed"


def log_run(run: Run, home: Path) -> str:
    """Log a run: parameters, summary metrics, fingerprints and report, with one child run per arm and seed.

    One process does so at a time. A second call adds nothing, and completes what an interrupted first call left. The
    audit log gets a record of what the run was made with.

    Args:
        run: A run with a report.
        home: The home.

    Returns:
        The id of the study's MLflow run.
    """
    with registry_lock(home):
        record_origin(run, home)
        return write_run(run, home)


def write_run(run: Run, home: Path) -> str:
    """Do what `log_run` does, for a caller that holds the registry's lock."""
    mlflow_client = client(home)
    place = experiment(mlflow_client, run.study.name, home)
    parent = study_run(run, home) or _create(mlflow_client, place, run.id, {RUN_TAG: run.id})
    for arm, seed in run.arms():
        _log_arm(mlflow_client, place, run, arm, seed, parent)
    report_sha = file_digest(run.report / "report.json")
    logged = mlflow_client.get_run(parent)
    if logged.info.status == "FINISHED" and logged.data.tags.get("report_sha256") == report_sha:
        return parent
    report = documents.read_mapping(run.report / "report.json")
    logged_metrics = logged.data.metrics
    metrics = [m for m in _summary(report, logged.info.start_time) if logged_metrics.get(m.key) != m.value]
    _log_batches(mlflow_client, parent, metrics, _params(_flat(run.read("study"))), _tags(run, report))
    mlflow_client.log_inputs(parent, datasets=list(_datasets(run)))
    for name in DOCUMENTS:
        if run.has(name):
            mlflow_client.log_artifact(parent, str(run.folder / f"{name}.json"))
    mlflow_client.log_artifacts(parent, str(run.report), "report")
    mlflow_client.set_tag(parent, "report_sha256", report_sha)  # last: it says that everything above arrived
    mlflow_client.set_terminated(parent, "FINISHED")
    return parent


def study_run(run: Run, home: Path) -> str | None:
    """The id of a run's MLflow run, or None where it was not logged."""
    entries = [entry for entry in _find(client(home), run) if ARM_TAG not in entry.data.tags]
    return entries[0].info.run_id if entries else None


def arm_run(run: Run, arm: str, seed: int, home: Path) -> str | None:
    """The id of the MLflow run of one arm and seed, or None where it was not logged."""
    pair = (arm, str(seed))
    entries = [e for e in _find(client(home), run) if (e.data.tags.get(ARM_TAG), e.data.tags.get(SEED_TAG)) == pair]
    return entries[0].info.run_id if entries else None


def orphans(home: Path) -> list[str]:
    """List MLflow runs of xmed that say RUNNING: their process was killed while it logged, or still logs.

    Args:
        home: The home.

    Returns:
        Ids of the MLflow runs.
    """
    if not is_there(home):
        return []
    mlflow_client = client(home)
    places = [str(entry.experiment_id) for entry in mlflow_client.search_experiments()]
    running = mlflow_client.search_runs(places, "attributes.status = 'RUNNING'") if places else []
    return [entry.info.run_id for entry in running if RUN_TAG in entry.data.tags]


def _find(mlflow_client: MlflowClient, run: Run) -> list[MlflowRun]:
    place = mlflow_client.get_experiment_by_name(run.study.name)
    if place is None:
        return []
    return list(mlflow_client.search_runs([place.experiment_id], f"tags.`{RUN_TAG}` = '{run.id}'", max_results=1000))


def _create(mlflow_client: MlflowClient, place: str, name: str, tags: dict[str, str]) -> str:
    return str(mlflow_client.create_run(place, run_name=name, tags=tags).info.run_id)


def _log_arm(mlflow_client: MlflowClient, place: str, run: Run, arm: str, seed: int, parent: str) -> None:
    identity = {RUN_TAG: run.id, ARM_TAG: arm, SEED_TAG: str(seed), PARENT_TAG: parent}
    for entry in _find(mlflow_client, run):
        if all(entry.data.tags.get(key) == value for key, value in identity.items()):
            if entry.info.status == "FINISHED":
                return
            mlflow_client.delete_run(entry.info.run_id)  # an interrupted call's half of the curves
    child = _create(mlflow_client, place, f"{arm} seed {seed}", identity)
    trained = run.read(Training, arm, seed)
    start = mlflow_client.get_run(child).info.start_time
    facts = {key: value for key in ("seconds", "parameters") if (value := getattr(trained, key)) is not None}
    metrics = [*_losses(run.arm(arm, seed) / "losses.csv", start)]
    metrics += [Metric(f"training/{key}", float(value), start, 0) for key, value in facts.items()]
    settings = {
        "arm": arm,
        "seed": seed,
        **{key: getattr(trained, key) for key in ("method", "cite", "steps", "batch", "device")},
    }
    params = {**settings, **_flat(trained.hyperparameters), **_flat({"network": trained.network})}
    tags = {key: str(getattr(trained, key)).lower() for key in ("target_labels_used", "deployable", "weights_sha256")}
    _log_batches(mlflow_client, child, metrics, _params(params), [RunTag(*pair) for pair in tags.items()])
    mlflow_client.set_terminated(child, "FINISHED")


def _losses(path: Path, start: int) -> Iterator[Metric]:
    """Every named loss at evenly spread steps, the first and the last among them; timestamps only keep the order."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    apart = max(1, (len(rows) - 1) / (POINTS_A_CURVE - 1))
    for place in sorted({round(number * apart) for number in range(min(POINTS_A_CURVE, len(rows)))}):
        step = int(rows[place].pop("step"))
        for name, value in rows[place].items():
            if value:
                yield Metric("lr" if name == "lr" else f"loss/{name}", float(value), start + step, step)


def _summary(report: dict[str, Any], start: int) -> Iterator[Metric]:
    """`<arm>/<structure>/<metric>` means, `gap_closed/<structure>`, `gain_over_trivial/<structure>`; nulls left out."""
    for first, structures in report["summary"].items():
        for structure, value in (structures or {}).items():
            if isinstance(value, dict):
                for metric, statistic in value.items():
                    mean = statistic.get("mean") if isinstance(statistic, dict) else None
                    if mean is not None:
                        yield Metric(f"{first}/{structure}/{metric}", float(mean), start, 0)
            elif isinstance(value, int | float):
                yield Metric(f"{first}/{structure}", float(value), start, 0)


def _tags(run: Run, report: dict[str, Any]) -> list[RunTag]:
    tags = {"verdict": report["verdict"], "report_id": report.get("report_id", ""), "xmed.version": __version__}
    tags["protocol_sha256"] = run.read(FixedProtocol).sha256
    for side, data in _sides(run):
        tags |= {f"data.{side}": data.name, f"data.{side}.fingerprint": data.fingerprint}
    return [RunTag(key, str(value)) for key, value in tags.items()]


def _datasets(run: Run) -> Iterator[DatasetInput]:
    """Both cohorts as MLflow datasets: the digest is the head of the fingerprint (MLflow allows 36 characters)."""
    for side, data in _sides(run):
        source = json.dumps({"uri": data.source or data.name})
        profile = json.dumps(content(data.flow) if data.flow else {})
        dataset = Dataset(data.name, data.fingerprint[:36], "http", source, profile=profile)
        yield DatasetInput(dataset, tags=[InputTag("mlflow.data.context", side)])


def _sides(run: Run) -> list[tuple[str, CohortSummary]]:
    if not run.has(DataSummary):
        return []
    data = run.read(DataSummary)
    return [("source", data.source), ("target", data.target)]


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _params(values: dict[str, Any]) -> list[Param]:
    return [Param(key, str(value)[:PARAM_LENGTH]) for key, value in values.items() if value is not None]


def _log_batches(
    mlflow_client: MlflowClient, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag]
) -> None:
    mlflow_client.log_batch(run_id, tags=tags)
    for part in _parts(params, PARAMS_A_CALL):
        mlflow_client.log_batch(run_id, params=part)
    for part in _parts(metrics, METRICS_A_CALL):
        mlflow_client.log_batch(run_id, metrics=part)


def _parts(values: list[Any], size: int) -> Iterable[list[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def close_tracked_run(run_id: str, home: Path, reason: str) -> None:
    """Mark an MLflow run KILLED with a reason; a run of the same study that continues logs what is still missing.

    Args:
        run_id: Id of the MLflow run.
        home: The home.
        reason: Why it is closed, as its tag `xmed.closed`.
    """
    mlflow_client = client(home)
    mlflow_client.set_tag(run_id, REASON_TAG, reason)
    mlflow_client.set_terminated(run_id, "KILLED")
