"""Certainty: does the model know what it does not know: calibration, confidence, what to send back to a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from xmed import metrics, stats
from xmed.report.plain import interval, proportion
from xmed.report.rows import NO_REFERENCE, Row, Rows
from xmed.report.sources import Sources

Document = dict[str, Any]
SCORE = "soft Dice confidence (Borges et al., arXiv 2402.10665), mean over seeds"
COVERAGES = (0.8, 0.9, 0.95)
ALPHA = 0.1
MOST_FAILURES = 0.05
TAU = 0.7
"""Dice below which a prediction is looked at, where the protocol names no `failure_below`: a convention."""
UNKNOWN = "evaluation kept no probabilities of the adapted arm"


def tau(sources: Sources) -> float:
    """The Dice below which a case counts as one to be found out by its confidence."""
    return float(sources.protocol["protocol"].get("failure_below") or TAU)


def calibration(sources: Sources, rows: Rows) -> dict[str, Document]:
    """Section 9, per structure: reliability inside the region around prediction and truth, per case and pooled."""
    return {
        s: _calibration([row for row in rows.of("adapted", s) if row.get("calibration")], _why(s, rows.unsupported))
        for s in sources.structures
    }


def _why(structure: str, unsupported: Collection[str]) -> str:
    return NO_REFERENCE if structure in unsupported else UNKNOWN


def _calibration(rows: Sequence[Row], unknown: str) -> Document:
    shown: Document = {
        "arm": "adapted",
        "roi": "prediction or truth, dilated by 5 mm; background far away would dilute the error",
        "n_cases": len({row["case"] for row in rows}),
    }
    cases = [(row, metrics.Calibration.from_json(row["calibration"])) for row in rows]
    known = [(row, found) for row, found in cases if found.n]
    if not known:
        pooled = dict.fromkeys(("ece", "ace", "brier", "nll"))
        return {**shown, "n_voxels": 0, "bins": [], "pooled": pooled, "per_case": {}, "reason": unknown}
    total = known[0][1]
    for _, found in known[1:]:
        total = total + found
    bins = [{**one, "confidence": one["probability"], "observed": one["frequency"]} for one in total.reliability()]
    return {
        **shown,
        "n_voxels": total.n,
        "bins": bins,
        "pooled": {"ece": total.ece(), "ace": total.ace(), "brier": total.brier(), "nll": total.nll()},
        "per_case": {
            name: interval(stats.mean_ci(_by_patient([(row, getattr(found, name)()) for row, found in known])))
            for name in ("ece", "ace", "brier", "nll")
        },
        "reason": None,
    }


def _by_patient(values: Sequence[tuple[Row, float | None]]) -> list[float]:
    grouped: dict[str, list[float]] = defaultdict(list)
    for row, found in values:
        if found is not None:
            grouped[row["patient"]].append(found)
    return [sum(found) / len(found) for _, found in sorted(grouped.items())]


def risk_coverage(sources: Sources, rows: Rows, cases: Sequence[Document]) -> dict[str, Document]:
    """Section 10, per structure: risk = 1 − Dice of the cases kept when the least confident are sent to a person."""
    return {s: _risk(s, cases, tau(sources), _why(s, rows.unsupported)) for s in sources.structures}


def _scored(structure: str, cases: Sequence[Document]) -> list[tuple[Document, float, float]]:
    """(case, confidence, Dice) of the cases that have both."""
    out = []
    for case in cases:
        confidence, dice = case["confidence"].get(structure), case["metrics"].get(structure, {}).get("dice")
        if confidence is not None and dice is not None:
            out.append((case, confidence, dice))
    return out


def _risk(structure: str, cases: Sequence[Document], below: float, unknown: str) -> Document:
    scored = _scored(structure, cases)
    confidence, dice = [one[1] for one in scored], [one[2] for one in scored]
    found = stats.risk_coverage_curve(confidence, [1 - one for one in dice])
    point = stats.operating_point(confidence, [one < below for one in dice], MOST_FAILURES)
    detector = stats.failure_detection(confidence, dice, below)
    source = "the protocol" if below != TAU else "a convention, not agreement between raters"
    unscored = [case["case"] for case in cases if case not in [one[0] for one in scored]]
    return {
        "score": SCORE,
        "n": found.n,
        "without_score": len(unscored),
        "augrc": found.augrc,
        "augrc_ideal": found.augrc_ideal,
        "augrc_random": found.augrc_random,
        "aurc": found.aurc_mean,
        "aurc_trapezoid": found.aurc_trapezoid,
        "eaurc": found.e_aurc_mean,
        "points": [
            {"coverage": c, "risk": r, "undetected": u} for c, r, u in zip(found.coverage, found.risk, found.undetected)
        ],
        "at": [{"coverage": share, "risk": found.risk_at(share) if found.n else None} for share in COVERAGES],
        "operating_point": {
            "rule": f"the lowest confidence at which at most {MOST_FAILURES:.0%} of the cases kept have Dice below "
            f"{below:g}; chosen on these very cases, so it flatters",
            "threshold": point.threshold,
            "kept": point.n_kept,
            "n": point.n,
            "coverage": proportion(point.coverage),
            "failures_kept": proportion(point.failures),
            "reason": point.note,
        },
        "detector": {
            "failure": f"Dice below {below:g}",
            "tau": below,
            "tau_source": source,
            "prevalence": detector.prevalence,
            "n_failed": detector.n_failed,
            "auroc": detector.auroc,
            "fpr95": detector.fpr95,
            "reason": detector.degenerate,
        },
        "reason": found.degenerate if found.n else unknown,
    }


def label_free(sources: Sources, rows: Rows, cases: Sequence[Document], reached: float | None) -> Document:
    """What could be known of a new case, and of the study, without a label; and how wrong it was here."""
    return {
        "case": {s: _estimate(s, cases, _why(s, rows.unsupported)) for s in sources.structures},
        "study": _study_estimate(sources, reached),
        "warning": None,
    }


def _estimate(structure: str, cases: Sequence[Document], unknown: str) -> Document:
    """Confidence taken for Dice; each patient's interval is calibrated on the others (Vovk's jackknife by patient)."""
    scored = _scored(structure, cases)
    errors = {case["patient"]: 0.0 for case, _, _ in scored}
    for case, confidence, dice in scored:
        errors[case["patient"]] = max(errors[case["patient"]], abs(confidence - dice))  # a patient counts once
    patients = sorted(errors)
    halves = {p: stats.conformal_interval([errors[q] for q in patients if q != p], ALPHA).half_width for p in patients}
    known = {p: half for p, half in halves.items() if half is not None}
    held = sum(errors[p] <= half for p, half in known.items())
    final = stats.conformal_interval([errors[p] for p in patients], ALPHA)
    n = len(scored)
    return {
        "method": "soft Dice confidence as an estimate of Dice",
        "cohort": "the test patients themselves: coverage with each patient left out in turn",
        "n": len(patients),
        "mae": sum(abs(c - d) for _, c, d in scored) / n if n else None,
        "bias": sum(c - d for _, c, d in scored) / n if n else None,
        "conformal": {
            "alpha": ALPHA,
            "half_width": final.half_width,
            "n": final.n,
            "coverage": proportion(stats.proportion_interval(held, len(known))) if known else None,
            "reason": final.reason,
        },
        "reason": None if n else unknown,
    }


def _study_estimate(sources: Sources, reached: float | None) -> Document:
    """The selection's reverse score of the first seed's adapted net, beside the Dice that it was an estimate of."""
    seeds = sources.selection.get("seeds") or {}
    first: Document = next(iter(seeds.values()), {})
    mine = next((one for one in first.get("candidates", []) if one.get("name") == "adapted"), None)
    estimate = ((mine or {}).get("scores") or {}).get("reverse")
    error = None if estimate is None or reached is None else estimate - reached
    return {
        "method": "reverse testing against labelled source cases (xmed.select), mean over structures",
        "estimate": estimate,
        "true": reached,
        "error": error,
        "reason": None if estimate is not None else "selection made no estimate of the adapted model",
    }
