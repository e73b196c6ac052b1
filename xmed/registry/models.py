"""Models: the adapted net of a reported run becomes a version with the alias `candidate`, and nothing more."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

import xmed
from xmed.errors import XmedError
from xmed.registry.folder import check_model
from xmed.registry.store import active, client, is_there
from xmed.registry.tracking import RUN_TAG, arm_run, log_run, sha256
from xmed.run import Run, digest

CANDIDATE = "candidate"
SERVED_WITH = ("torch", "monai", "numpy", "scipy", "safetensors", "SimpleITK", "pydantic", "ruamel.yaml")
"""Packages that `xmed.predict` and the floors below it import; xmed itself travels with the model."""
EXAMPLE_EDGE = {2: 32, 3: 16}  # voxels: MLflow keeps the example twice as JSON, so it is small, and it is synthetic


def register(run: Run, home: Path) -> dict[str, Any]:
    """Register the adapted arm's net of the first seed under the study's `register_as`, alias `candidate`.

    A failing verdict registers too: it is a candidate, its tags say so, and approval is somebody else's decision. A net
    that is estimated, without target labels, to be no better than source-only is registered without the alias, and its
    tag `not_promoted` says why; an earlier candidate stays.
    Idempotent: a net that is already registered with the same report is not registered again.

    Raises XmedError MODEL_REFUSED (no report, a report on another protocol, not deployable, target labels used) or
    MODEL_INVALID (weights that do not match their checksum).
    """
    seed = run.study.seeds[0]
    folder, tags = run.arm("adapted", seed) / "model", _evidence(run, seed)
    parent, name = log_run(run, home), run.study.register_as
    known = [entry for entry in _versions_of(name, home) if tags.items() <= entry.tags.items()]
    if known:
        found = max(known, key=lambda entry: int(entry.version))
    else:
        source = arm_run(run, "adapted", seed, home) or parent
        found = _log(folder, name, source, home)
        for key, value in {**tags, "study_run": parent}.items():
            client(home).set_model_version_tag(name, found.version, key, value)
    promoted = "not_promoted" not in tags
    if promoted:
        client(home).set_registered_model_alias(name, CANDIDATE, found.version)
    return {
        "name": name,
        "version": int(found.version),
        "alias": CANDIDATE if promoted else None,
        "uri": f"models:/{name}@{CANDIDATE}" if promoted else f"models:/{name}/{found.version}",
        **tags,
    }


def versions(home: Path) -> list[dict[str, Any]]:
    """Every registered version, newest first within a name: name, version, aliases, verdict, checksums, created."""
    if not is_there(home):
        return []
    registry, rows = client(home), []
    for model in registry.search_registered_models(max_results=1000):
        aliases: dict[str, list[str]] = {}
        for alias, number in (model.aliases or {}).items():
            aliases.setdefault(str(number), []).append(alias)
        for entry in _versions_of(model.name, home):
            row = {"name": entry.name, "version": int(entry.version), "aliases": aliases.get(str(entry.version), [])}
            rows.append({**row, "created": int(entry.creation_timestamp), **dict(entry.tags)})
    return sorted(rows, key=lambda row: (row["name"], -row["version"]))


def _versions_of(name: str, home: Path) -> list[ModelVersion]:
    return list(client(home).search_model_versions(f"name = '{name}'", max_results=1000))


def _evidence(run: Run, seed: int) -> dict[str, str]:
    """Why this net may be registered, as tags; refused when the evidence is missing or about something else."""
    folder, report_path = run.arm("adapted", seed), run.report / "report.json"
    if not report_path.is_file():
        raise _refused(f"run {run.id} has no report", "a report beside every registered model", "finish the run first")
    report, protocol = json.loads(report_path.read_text(encoding="utf-8")), run.read("protocol")
    fixed = {key: value for key, value in protocol.items() if key not in ("sha256", "fixed_at")}
    if not digest(fixed) == protocol["sha256"] == report["protocol_sha256"]:
        raise _refused(f"the report of run {run.id} is about another protocol", f"protocol {protocol['sha256'][:12]}…")
    if not (folder / "train.json").is_file():
        raise _refused(
            f"run {run.id} has no adapted model of seed {seed}", "a finished training", "finish the run first"
        )
    document, trained = check_model(folder / "model"), json.loads((folder / "train.json").read_text(encoding="utf-8"))
    if not document.get("deployable") or not trained["deployable"] or trained["target_labels_used"]:
        why = "it learned from target labels" if trained["target_labels_used"] else "its method is not deployable"
        raise _refused(f"the model of run {run.id}: {why}", "a deployable model", "adapt with another method")
    if trained["weights_sha256"] != document["weights_sha256"]:
        raise _refused(
            f"the model of run {run.id} is not the one that was trained", trained["weights_sha256"][:12] + "…"
        )
    return {
        RUN_TAG: run.id,
        "verdict": str(report["verdict"]),
        "report_sha256": sha256(report_path),
        "protocol_sha256": protocol["sha256"],
        "weights_sha256": document["weights_sha256"],
        **_held_back(run),
    }


def _held_back(run: Run) -> dict[str, str]:
    """Why a run's net may not become the candidate, as a tag; none where it may, or where nothing was compared."""
    if not run.has("selection"):
        return {}
    found = run.read("selection")
    return {} if found["promoted"] else {"not_promoted": str(found["reason"])}


def _refused(what: str, expected: str, do: str = "") -> XmedError:
    return XmedError("MODEL_REFUSED", what, expected, do)


def _log(folder: Path, name: str, run_id: str, home: Path) -> ModelVersion:
    """Log the folder as a pyfunc model made of code and safetensors (no pickle), and register it."""
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    spatial = len([edge for edge in document["grid"]["patch"] if edge > 1])
    channels, classes = 1 + 2 * document["grid"].get("context", 0), 1 + len(document["structures"])
    free = (-1,) * spatial
    edge = EXAMPLE_EDGE[spatial]
    example = np.random.default_rng(0).random((2, channels, *(edge,) * spatial), dtype=np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, channels, *free))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, classes, *free))]),
    )
    with active(run_id, home):  # to the end: the registry looks the logged model up in the active store
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"model": str(folder)},
            code_paths=[str(Path(xmed.__file__).parent)],
            signature=signature,
            input_example=example,
            pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in SERVED_WITH],
        )
        registry = client(home)
        try:
            registry.create_registered_model(name)
        except MlflowException as problem:
            if problem.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return registry.create_model_version(name, info.model_uri, run_id, model_id=info.model_id)
