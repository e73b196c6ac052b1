"""What a run must show before its model is registered, as tags and files of the version."""

from __future__ import annotations

import shutil
from pathlib import Path

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import digest, file_digest, folder_digest
from xmed.model.folder import check_model
from xmed.records.data_summary import DataSummary
from xmed.records.provenance import FixedProtocol
from xmed.records.selection import Selection
from xmed.records.training import Training
from xmed.registry.sbom import sbom
from xmed.registry.tracked_runs import RUN_TAG
from xmed.report import numbers_digest, read_report
from xmed.run import Arm, Run

SAME = (RUN_TAG, "report_id", "protocol_sha256", "weights_sha256", "not_promoted")
"""Tags that are equal where the same run is registered again; what a report says of when and where may differ."""
SBOM, REPORT = "sbom.cdx.json", "report.json"
MONITOR = "monitor"
"""Stem of the run's document that new data is compared with."""


@documents.guarded("a file of the run", "MODEL_REFUSED", "the files of a finished run", "run the study again")
def evidence(run: Run, seed: int) -> dict[str, str]:
    """Collect as tags why a model may be registered.

    Raises:
        XmedError: MODEL_REFUSED, where evidence is missing or about something else; MODEL_INVALID, where the weights do
            not match their checksum.
    """
    folder, report_path = run.arm(Arm.ADAPTED, seed), run.report / REPORT
    if not report_path.is_file():
        raise _refused(f"run {run.id} has no report", "a report beside every registered model", "finish the run first")
    report, protocol = read_report(run.report), run.read(FixedProtocol)
    if not protocol_of(run) == protocol.sha256 == report.protocol_sha256:
        raise _refused(f"the report of run {run.id} is about another protocol", f"protocol {protocol.sha256[:12]}…")
    if not run.has(Training, Arm.ADAPTED, seed):
        raise _refused(
            f"run {run.id} has no adapted model of seed {seed}", "a finished training", "finish the run first"
        )
    card, trained = check_model(folder / "model"), run.read(Training, Arm.ADAPTED, seed)
    if not card.deployable or not trained.deployable or trained.target_labels_used:
        why = "it learned from target labels" if trained.target_labels_used else "its method is not deployable"
        raise _refused(f"the model of run {run.id}: {why}", "a deployable model", "adapt with another method")
    hashes = {"weights_sha256": card.weights_sha256, "model_sha256": folder_digest(folder / "model")}
    before = {"weights_sha256": trained.weights_sha256, "model_sha256": trained.model_sha256}
    if any(before[key] not in (None, sha256) for key, sha256 in hashes.items()):  # version 0.1.0 names weights alone
        raise _refused(f"the model of run {run.id} is not the one that was trained", trained.weights_sha256[:12] + "…")
    return {
        RUN_TAG: run.id,
        "verdict": report.verdict,
        "report_id": report.report_id,
        "report_sha256": file_digest(report_path),
        "findings_sha256": numbers_digest(report),
        "protocol_sha256": protocol.sha256,
        **hashes,
        **_fingerprints(run),
        **held_back(run),
    }


def protocol_of(run: Run) -> str:
    """sha256 of the protocol as it is now: equal to the one that was fixed, unless somebody changed it."""
    return digest({key: value for key, value in run.read("protocol").items() if key not in ("sha256", "fixed_at")})


def gather(run: Run, tags: dict[str, str], folder: Path) -> dict[str, str]:
    """Copy the evidence of a version into a folder; returns the checksums of the files that are new."""
    folder.mkdir(parents=True)
    shutil.copy(run.report / REPORT, folder / REPORT)
    for name in ("protocol", "environment", "data", MONITOR):
        if run.has(name):
            shutil.copy(run.folder / f"{name}.json", folder)
    if run.has("sbom"):  # of the environment that the model was made in, which may be another one by now
        shutil.copy(run.folder / "sbom.json", folder / SBOM)
    else:
        (folder / SBOM).write_text(sbom(run.study.register_as, tags["weights_sha256"]), encoding="utf-8")
    named = {"sbom_sha256": folder / SBOM, "environment_sha256": folder / "environment.json"}
    named["monitor_sha256"] = folder / f"{MONITOR}.json"
    return {name: file_digest(path) for name, path in named.items() if path.is_file()}


def _fingerprints(run: Run) -> dict[str, str]:
    """Of both datasets: which images and labels the model learned from, and was judged on."""
    if not run.has(DataSummary):
        return {}
    data = run.read(DataSummary)
    return {"data.source.fingerprint": data.source.fingerprint, "data.target.fingerprint": data.target.fingerprint}


def held_back(run: Run) -> dict[str, str]:
    """Say in a tag why a run's model may not become the candidate; empty where it may, or was not compared."""
    if not run.has(Selection):
        return {}
    selection = run.read(Selection)
    return {} if selection.promoted else {"not_promoted": selection.reason}


def nothing_learned(run: Run) -> str | None:
    """Say why a run's model is not registered at all: a trivial baseline is estimated to be better; else None."""
    if not run.has(Selection):
        return None
    selection = run.read(Selection)
    return None if selection.registered else selection.reason


def _refused(what: str, expected: str, do: str = "") -> XmedError:
    return XmedError("MODEL_REFUSED", what, expected, do)
