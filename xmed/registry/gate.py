"""The gate: every reason why a version may not get a clinical alias, each checked against the files again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mlflow.entities.model_registry import ModelVersion

from xmed import report as reports
from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import folder_digest
from xmed.model.folder import check_model
from xmed.records.provenance import FixedProtocol
from xmed.records.training import Training
from xmed.records.validation_report import Report
from xmed.registry import ledger
from xmed.registry.audit_state import CANDIDATE, CHANGED, NAMED
from xmed.registry.package import unpack
from xmed.registry.recheck import disproved
from xmed.registry.registration import EVALUATION, USE, holder
from xmed.registry.tracked_runs import RUN_TAG
from xmed.registry.tracking_store import client
from xmed.registry.version_evidence import held_back, protocol_of
from xmed.run import Arm, Run

CLINICAL = (EVALUATION, USE)
SHOWN = 3
"""Differences of a report that are quoted; all of them are counted."""


@dataclass(frozen=True)
class Refusal:
    """One reason against a version.

    Attributes:
        code: A word for it.
        text: A sentence for the record; it names no case and no patient.
        detail: What only the person who asks is shown; may name cases.
    """

    code: str
    text: str
    detail: tuple[str, ...] = ()


def gate_refusals(entry: ModelVersion, alias: str, home: Path) -> list[Refusal]:
    """Find every reason against giving a version `clinical-evaluation` or `clinical-use`; an empty list opens the gate.

    Nothing that the version says about itself is trusted: its package is hashed, its report is computed again from the
    run's files, these from the stored data and the models (see `recheck`), and the audit log is verified from its
    beginning.

    Args:
        entry: The version.
        alias: The alias that is asked for.
        home: The home.
    """
    refusals = [*_log_refusals(entry, home), *_package_refusals(entry, home)]
    run = _run(entry, home)
    if run is None:
        what = f"run {entry.tags.get(RUN_TAG)} is not here, so its report cannot be verified"
        return [*refusals, Refusal("run", what)]
    try:
        with documents.guarded(f"run {run.id}", "DOCUMENT_INVALID", "files as xmed writes them"):
            problems = reports.verify_report(run.folder)
            report = reports.read_report(run.report)
            refusals += [*_identity_refusals(entry, run, report), *_result_refusals(entry, run, report)]
    except (XmedError, OSError) as problem:
        return [*refusals, Refusal("report", "its report cannot be read or recomputed", (str(problem),))]
    if problems:
        text = f"its report does not verify: {len(problems)} difference(s) to what its files give"
        refusals.append(Refusal("report", text, tuple(problems[:SHOWN])))
    for claim in disproved(run, home, whole=True):
        refusals.append(Refusal(claim.code, claim.text, tuple(claim.lines[:SHOWN])))
    for other in dict.fromkeys(holder(entry.name, clinical_alias, home) for clinical_alias in CLINICAL):
        if other is not None and other != int(entry.version):
            with documents.guarded("one of two reports that are compared", "DOCUMENT_INVALID", "a report"):
                refusals += _comparison_refusals(entry, report, other, home)
    if alias == USE and holder(entry.name, EVALUATION, home) != int(entry.version):
        refusals.append(Refusal("order", f"it does not hold the alias {EVALUATION}, which comes before {USE}"))
    return refusals


def _log_refusals(entry: ModelVersion, home: Path) -> Iterator[Refusal]:
    problems = ledger.verify_audit(home, entry.name)
    if problems:
        text = f"the audit log does not verify: {len(problems)} problem(s)"
        yield Refusal("audit", text, tuple(problems[:SHOWN]))
    records = ledger.version_records(home, entry.name, int(entry.version))
    recorded = [record.hashes for record in records if record.event in (NAMED, CHANGED) and record.hashes]
    if not any(all(entry.tags.get(key) == value for key, value in hashes.items()) for hashes in recorded):
        yield Refusal("audit", "the audit log has no record of this version's registration with these checksums")


def _package_refusals(entry: ModelVersion, home: Path) -> Iterator[Refusal]:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = unpack(entry, Path(scratch), home)
            check_model(folder / "artifacts" / "model", {"weights_sha256": "none", **entry.tags})
        except XmedError as problem:
            yield Refusal("weights", "it is not the model that was registered", (str(problem),))
            return
        except Exception as problem:  # whatever a store raises for artifacts that are gone
            yield Refusal("weights", "its package cannot be fetched", (f"{type(problem).__name__}: {problem}",))
            return
        if folder_digest(folder) != entry.tags.get("package_sha256"):
            yield Refusal("package", "its package (code, signature, evidence) is not the one that was registered")


def _run(entry: ModelVersion, home: Path) -> Run | None:
    try:
        return Run.find(entry.tags.get(RUN_TAG, ""), home) if entry.tags.get(RUN_TAG) else None
    except XmedError:
        return None


def _identity_refusals(entry: ModelVersion, run: Run, report: Report) -> Iterator[Refusal]:
    """Whether report, protocol and training are those that the version was registered with."""
    tags = entry.tags
    if report.report_id != tags.get("report_id"):
        yield Refusal("report", "its report says something else than the one it was registered with")
    if "findings_sha256" in tags and reports.numbers_digest(report) != tags["findings_sha256"]:
        yield Refusal("report", "its numbers are not those it was registered with")
    if not protocol_of(run) == run.read(FixedProtocol).sha256 == report.protocol_sha256 == tags["protocol_sha256"]:
        yield Refusal("protocol", "the protocol was changed after it was fixed")
    trained = run.read(Training, Arm.ADAPTED, run.study.seeds[0])
    if (trained.weights_sha256, trained.model_sha256) != (tags.get("weights_sha256"), tags.get("model_sha256")):
        yield Refusal("weights", "it is not the model that was trained and validated")
    if trained.target_labels_used or not trained.deployable:
        yield Refusal("labels", "it was trained on target labels, or its method is not deployable")


def _result_refusals(entry: ModelVersion, run: Run, report: Report) -> Iterator[Refusal]:
    """Whether the numbers speak for it: verdict, label-free estimate, and source-only on the same patients."""
    if report.verdict != "pass":
        yield Refusal("verdict", f"the verdict of its report is {report.verdict}, not pass")
    elif why := reports.unsupported_today(report):
        yield Refusal("verdict", f"by today's rules it does not pass: {why}")
    if report.exploratory:
        yield Refusal("verdict", "its report is exploratory")
    why = held_back(run).get("not_promoted") or entry.tags.get("not_promoted")
    if why:
        yield Refusal("promoted", f"it never was the {CANDIDATE}: {why}")
    primary = run.study.protocol.primary
    adapted, source = (
        report.summary.mean(arm, primary.structure, primary.metric) for arm in (Arm.ADAPTED, Arm.SOURCE_ONLY)
    )
    if adapted is None or source is None:
        yield Refusal("source_only", "adapted or source-only has no number to compare")
    elif adapted < source:
        what = f"it is worse than source-only: {primary.metric} of {primary.structure}"
        yield Refusal("source_only", f"{what} {adapted:.6g} against {source:.6g}")


def _comparison_refusals(entry: ModelVersion, report: Report, other: int, home: Path) -> Iterator[Refusal]:
    """Whether it is worse than the version that holds a clinical alias, on the test patients that both have."""
    with tempfile.TemporaryDirectory() as scratch:
        other_entry = client(home).get_model_version(entry.name, str(other))
        try:
            folder = unpack(other_entry, Path(scratch), home)
            if folder_digest(folder) != other_entry.tags.get("package_sha256"):
                raise XmedError("MODEL_INVALID", f"version {other} is not the package that was registered")
            other_report = reports.read_report(folder / "artifacts" / "evidence")
        except Exception as problem:  # as in _package_refusals
            yield Refusal(
                "holder", f"version {other} cannot be compared with: its evidence is damaged", (str(problem),)
            )
            return
    primary = report.study.protocol.primary
    metric, structure = primary.metric, primary.structure
    scores, other_scores = (_case_scores(document, structure, metric) for document in (report, other_report))
    shared = sorted(scores.keys() & other_scores.keys())
    if not shared:
        what = f"it cannot be compared with version {other}, which holds a clinical alias: no test case in common"
        yield Refusal("holder", f"{what}; validate both on one test set, or withdraw version {other}")
        return
    mean, other_mean = fmean(scores[case] for case in shared), fmean(other_scores[case] for case in shared)
    if mean < other_mean:
        what = f"it is worse than version {other}, which holds a clinical alias: {metric} of {structure}"
        yield Refusal("holder", f"{what} {mean:.6g} against {other_mean:.6g} on {len(shared)} test case(s) of both")


def _case_scores(report: Report, structure: str, metric: str) -> dict[tuple[str, str, str], float]:
    """The adapted model's numbers by (dataset, patient, case); a failure is 0, what is undefined is left out."""
    target = str(report.study.target)
    scores = {}
    for case in report.cases:
        means = case.metrics.get(structure)
        value = getattr(means, metric, None)
        if value is None and (case.status != "ok" or (means is not None and means.failed)):
            value = 0.0
        if value is not None:
            scores[target, case.patient, case.case] = float(value)
    return scores
