"""Previous: this model beside the version before it, patient by patient, on the same test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmed.files import documents
from xmed.report.plain import difference, paired
from xmed.report.rows import Rows
from xmed.report.sources import Sources

Document = dict[str, Any]
REGRESSION = 0.05
"""A patient whose Dice falls by more than this is named."""
NONE = "no earlier version of this model has a report here"
COMPARED = ("method", "network", "grid", "budget", "seeds", "task", "source", "target")


def prior_of(report: Path, name: str, version: int | None) -> Document:
    """What is kept of an earlier version's report.json: prior.json of a run.

    name, version: of the registered model. Raises XmedError DOCUMENT_INVALID for what is no report.
    """
    document = documents.read_mapping(report)
    with documents.guarded(str(report), "DOCUMENT_INVALID", "a report"):
        return {
            "name": name,
            "version": version,
            "report_id": document["report_id"],
            "verdict": document["verdict"],
            "fingerprint": document["data"]["fingerprint"]["target"],
            "study": {key: document["study"].get(key) for key in COMPARED},
            "cases": [
                {
                    "case": case["case"],
                    "patient": case["patient"],
                    "dice": {s: found["dice"] for s, found in case["metrics"].items()},
                }
                for case in document["cases"]
            ],
        }


def previous(sources: Sources, rows: Rows) -> Document:
    """Section 15: what was modified, who gained, who lost; nothing where no earlier report is known."""
    prior = sources.prior
    if not prior:
        empty = dict.fromkeys(("name", "version", "report_id", "verdict", "same_test_set"))
        return {"available": False, "reason": NONE, **empty, "changed": {}, "structures": {}}
    same = prior["fingerprint"] == sources.data["target"]["fingerprint"]
    return {
        "available": True,
        "reason": None if same else "the test data are not the same bytes; only patients of the same name are compared",
        **{key: prior[key] for key in ("name", "version", "report_id", "verdict")},
        "same_test_set": same,
        "changed": _changed(prior["study"], {key: sources.study.get(key) for key in COMPARED}),
        "structures": {s: _structure(prior, rows, s) for s in sources.structures},
    }


def _structure(prior: Document, rows: Rows, structure: str) -> Document:
    now = rows.by_patient("adapted", structure, "dice")[0]
    seen: dict[str, list[float]] = {}
    for case in prior["cases"]:
        dice = case["dice"].get(structure)
        if dice is not None:
            seen.setdefault(case["patient"], []).append(dice)
    before = {patient: sum(values) / len(values) for patient, values in seen.items()}
    patients, new, old = paired(now, before)
    change = dict(zip(patients, (a - b for a, b in zip(new, old))))
    found = difference(now, before)
    lost = sorted((p for p in patients if change[p] < -REGRESSION), key=lambda p: change[p])
    return {
        "n": len(patients),
        "wins": sum(value > 0 for value in change.values()),
        "losses": sum(value < 0 for value in change.values()),
        "ties": sum(value == 0 for value in change.values()),
        "estimate": found["value"],
        "ci": found["ci"],
        "p_sign_flip": found["p_sign_flip"],
        "regression_limit": REGRESSION,
        "regressions": [{"patient": p, "before": before[p], "after": now[p], "change": change[p]} for p in lost],
        "reason": found["reason"] if patients else "no patient stands in both reports",
    }


def _changed(before: Any, after: Any, where: str = "") -> dict[str, list[Any]]:
    """{path: [before, after]} of everything that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        pairs = [_changed(before.get(k), after.get(k), f"{where}.{k}" if where else k) for k in keys]
        return {path: both for found in pairs for path, both in found.items()}
    return {} if before == after else {where: [before, after]}
