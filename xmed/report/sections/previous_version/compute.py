"""Section Comparison with the previous version: this model and the one before it, patient by patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmed.files import documents
from xmed.records.provenance import PriorCase, PriorVersion
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import difference, paired

Document = dict[str, Any]
REGRESSION = 0.05
"""A patient whose Dice falls by more than this is named."""
NO_EARLIER_REPORT = "no earlier version of this model has a report here"
OTHER_TEST_SET = "the test data are not the same bytes; only patients of the same name are compared"
COMPARED = ("method", "network", "grid", "budget", "seeds", "task", "source", "target")
"""Keys of study.json whose changes are listed."""


def prior_of(report: Path, name: str, version: int | None) -> PriorVersion:
    """Take from an earlier version's report what a run keeps of it.

    Args:
        report: The earlier version's report.json.
        name: Name of the registered model.
        version: Its version.

    Returns:
        prior.json of a run.

    Raises:
        XmedError: DOCUMENT_INVALID for a file that is no report.
    """
    document: Document = documents.read_mapping(report)
    with documents.guarded(str(report), "DOCUMENT_INVALID", "a report"):
        return PriorVersion(
            name=name,
            version=version,
            report_id=document["report_id"],
            verdict=document["verdict"],
            fingerprint=document["data"]["fingerprint"]["target"],
            study={key: document["study"].get(key) for key in COMPARED},
            cases=[
                PriorCase(
                    case=case["case"],
                    patient=case["patient"],
                    dice={structure: metrics["dice"] for structure, metrics in case["metrics"].items()},
                )
                for case in document["cases"]
            ],
        )


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return previous: what was changed since the earlier version, and whose Dice rose or fell."""
    prior = sources.prior
    if prior is None:
        empty = dict.fromkeys(("name", "version", "report_id", "verdict", "same_test_set"))
        return {"previous": {"available": False, "reason": NO_EARLIER_REPORT, **empty, "changed": {}, "structures": {}}}
    same = prior.fingerprint == sources.data.target.fingerprint
    previous = {
        "available": True,
        "reason": None if same else OTHER_TEST_SET,
        "name": prior.name,
        "version": prior.version,
        "report_id": prior.report_id,
        "verdict": prior.verdict,
        "same_test_set": same,
        "changed": _changed(prior.study, {key: sources.study.get(key) for key in COMPARED}),
        "structures": {structure: _compared(prior, rows, structure) for structure in sources.structures},
    }
    return {"previous": previous}


def _compared(prior: PriorVersion, rows: Rows, structure: str) -> Document:
    now, before = rows.by_patient("adapted", structure, "dice")[0], _dice_before(prior, structure)
    patients, new, old = paired(now, before)
    change = dict(zip(patients, (a - b for a, b in zip(new, old))))
    result = difference(now, before)
    lost = sorted((patient for patient in patients if change[patient] < -REGRESSION), key=lambda p: change[p])
    return {
        "n": len(patients),
        "wins": sum(value > 0 for value in change.values()),
        "losses": sum(value < 0 for value in change.values()),
        "ties": sum(value == 0 for value in change.values()),
        "estimate": result["value"],
        "ci": result["ci"],
        "p_sign_flip": result["p_sign_flip"],
        "regression_limit": REGRESSION,
        "regressions": [{"patient": p, "before": before[p], "after": now[p], "change": change[p]} for p in lost],
        "reason": result["reason"] if patients else "no patient stands in both reports",
    }


def _dice_before(prior: PriorVersion, structure: str) -> dict[str, float]:
    """Each patient's mean Dice in the earlier report."""
    by_patient: dict[str, list[float]] = {}
    for case in prior.cases:
        dice = case.dice.get(structure)
        if dice is not None:
            by_patient.setdefault(case.patient, []).append(dice)
    return {patient: sum(values) / len(values) for patient, values in by_patient.items()}


def _changed(before: Any, after: Any, path: str = "") -> dict[str, list[Any]]:
    """{path: [before, after]} of every setting that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        parts = [_changed(before.get(key), after.get(key), f"{path}.{key}" if path else key) for key in keys]
        return {place: pair for part in parts for place, pair in part.items()}
    return {} if before == after else {path: [before, after]}


SECTION = Section(
    title="Comparison with the previous version",
    order=160,
    anchor="previous",
    how_to_read="What changed since the version that is registered now, and what that did to each patient. Better is "
    "more wins than losses and no regression. A regression is a patient who would have been better off "
    "before.",
    provides=("previous",),
    kept_from_copy=("previous",),
    compute=compute,
)
