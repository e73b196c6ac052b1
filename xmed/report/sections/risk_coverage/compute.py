"""Section Risk and coverage: whether low confidence finds the failures, and Dice estimated without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xmed import stats
from xmed.html.axis import PLOT, PLOT_BOTTOM, PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, Axis, path
from xmed.report.failure_causes import TAU, tau
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import proportion
from xmed.run import Run

Figure = dict[str, Any]
MOST_DOTS = 60
Document = dict[str, Any]
SCORE = "soft Dice confidence (Borges et al., arXiv 2402.10665), mean over seeds"
COVERAGES = (0.8, 0.9, 0.95)
"""Shares of the cases, most confident first, at which the risk is given."""
ALPHA = 0.1
"""Share of patients that the conformal interval may miss."""
MOST_FAILURES = 0.05
"""Share of poor cases that the operating point may keep."""


def risk_plot(risk_coverage: dict[str, Any]) -> Figure | None:
    """Return the risk of the cases kept, and the share of undetected risk, over the share of cases kept.

    Args:
        risk_coverage: One structure of `risk_coverage` of the document.

    Returns:
        Coordinates for the template, with the operating point where one was chosen; None without confidences.
    """
    points = risk_coverage["points"]
    if not points:
        return None
    ends = [0.0, *(point["risk"] for point in points), *(point["undetected"] for point in points)]
    x, y = Axis(0.0, 1.0, PLOT_LEFT, PLOT_RIGHT), Axis(0.0, max(0.02, 1.12 * max(ends)), PLOT_BOTTOM, PLOT_TOP)
    chosen = risk_coverage["operating_point"]
    share, mark = chosen["coverage"]["value"], None
    if chosen["threshold"] is not None and share is not None:
        nearest = min(points, key=lambda point: abs(point["coverage"] - share))
        mark = {"x": x(share), "y": y(nearest["risk"])}
    dots = [{"x": x(point["coverage"]), "y": y(point["risk"])} for point in points]
    return {
        **PLOT, "x_ticks": x.ticks(), "y_ticks": y.ticks(), "mark": mark, "n": risk_coverage["n"],
        "risk": path([(dot["x"], dot["y"]) for dot in dots]),
        "undetected": path([(x(point["coverage"]), y(point["undetected"])) for point in points]),
        "dots": dots if len(points) <= MOST_DOTS else [],
    }  # fmt: skip


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return risk_coverage and label_free for every structure of the adapted arm.

    Risk is 1 − Dice of the cases that are kept when the least confident ones are sent to a person.
    """
    cases, structures = report["cases"], sources.structures
    below = tau(sources)
    means = [report["summary"]["adapted"].get(s, {}).get("dice", {}).get("mean") for s in structures]
    mean = sum(means) / len(means) if None not in means else None
    return {
        "risk_coverage": {s: _risk(s, cases, below, rows.why_no_probabilities(s)) for s in structures},
        "label_free": {
            "case": {s: _case_estimate(s, cases, rows.why_no_probabilities(s)) for s in structures},
            "study": _study_estimate(sources, mean),
            "warning": None,
        },
    }


def _scored(structure: str, cases: Sequence[Document]) -> list[tuple[Document, float, float]]:
    """(case, confidence, Dice) of the cases that have both."""
    scored = []
    for case in cases:
        confidence, dice = case["confidence"].get(structure), case["metrics"].get(structure, {}).get("dice")
        if confidence is not None and dice is not None:
            scored.append((case, confidence, dice))
    return scored


def _risk(structure: str, cases: Sequence[Document], below: float, reason: str) -> Document:
    scored = _scored(structure, cases)
    confidence, dice = [score for _, score, _ in scored], [value for _, _, value in scored]
    curve = stats.risk_coverage_curve(confidence, [1 - value for value in dice])
    with_score = [case for case, _, _ in scored]
    return {
        "score": SCORE,
        "n": curve.n,
        "without_score": len([case for case in cases if case not in with_score]),
        "augrc": curve.augrc,
        "augrc_ideal": curve.augrc_ideal,
        "augrc_random": curve.augrc_random,
        "aurc": curve.aurc_mean,
        "aurc_trapezoid": curve.aurc_trapezoid,
        "eaurc": curve.e_aurc_mean,
        "points": [
            {"coverage": c, "risk": r, "undetected": u} for c, r, u in zip(curve.coverage, curve.risk, curve.undetected)
        ],
        "at": [{"coverage": share, "risk": curve.risk_at(share) if curve.n else None} for share in COVERAGES],
        "operating_point": _operating_point(confidence, dice, below),
        "detector": _detector(confidence, dice, below),
        "reason": curve.degenerate if curve.n else reason,
    }


def _operating_point(confidence: list[float], dice: list[float], below: float) -> Document:
    point = stats.operating_point(confidence, [value < below for value in dice], MOST_FAILURES)
    return {
        "rule": f"the lowest confidence at which at most {MOST_FAILURES:.0%} of the cases kept have Dice below "
        f"{below:g}; chosen on these very cases, so it flatters",
        "threshold": point.threshold,
        "kept": point.n_kept,
        "n": point.n,
        "coverage": proportion(point.coverage),
        "failures_kept": proportion(point.failures),
        "reason": point.note,
    }


def _detector(confidence: list[float], dice: list[float], below: float) -> Document:
    detector = stats.failure_detection(confidence, dice, below)
    return {
        "failure": f"Dice below {below:g}",
        "tau": below,
        "tau_source": "the protocol" if below != TAU else "a convention, not agreement between raters",
        "prevalence": detector.prevalence,
        "n_failed": detector.n_failed,
        "auroc": detector.auroc,
        "fpr95": detector.fpr95,
        "reason": detector.degenerate,
    }


def _case_estimate(structure: str, cases: Sequence[Document], reason: str) -> Document:
    """Confidence as an estimate of Dice; each patient's interval comes from the others (Vovk's jackknife)."""
    scored = _scored(structure, cases)
    errors = {case["patient"]: 0.0 for case, _, _ in scored}
    for case, confidence, dice in scored:
        errors[case["patient"]] = max(errors[case["patient"]], abs(confidence - dice))  # a patient counts once
    patients = sorted(errors)
    halves = {p: stats.conformal_interval([errors[q] for q in patients if q != p], ALPHA).half_width for p in patients}
    defined = {patient: half for patient, half in halves.items() if half is not None}
    covered = sum(errors[patient] <= half for patient, half in defined.items())
    final = stats.conformal_interval([errors[patient] for patient in patients], ALPHA)
    n = len(scored)
    return {
        "method": "soft Dice confidence as an estimate of Dice",
        "cohort": "the test patients themselves: coverage with each patient left out in turn",
        "n": len(patients),
        "mae": sum(abs(confidence - dice) for _, confidence, dice in scored) / n if n else None,
        "bias": sum(confidence - dice for _, confidence, dice in scored) / n if n else None,
        "conformal": {
            "alpha": ALPHA,
            "half_width": final.half_width,
            "n": final.n,
            "coverage": proportion(stats.proportion_interval(covered, len(defined))) if defined else None,
            "reason": final.reason,
        },
        "reason": None if n else reason,
    }


def _study_estimate(sources: Sources, mean_dice: float | None) -> Document:
    """The reverse score that selection gave the first seed's adapted network, beside the Dice that it estimates."""
    seeds = sources.selection.get("seeds") or {}
    first: Document = next(iter(seeds.values()), {})
    adapted = next((entry for entry in first.get("candidates", []) if entry.get("name") == "adapted"), None)
    estimate = ((adapted or {}).get("scores") or {}).get("reverse")
    return {
        "method": "reverse testing against labelled source cases (xmed.select), mean over structures",
        "estimate": estimate,
        "true": mean_dice,
        "error": None if estimate is None or mean_dice is None else estimate - mean_dice,
        "reason": None if estimate is not None else "selection made no estimate of the adapted model",
    }


def template_values(run: Run, report: Document) -> Document:
    """A risk-coverage plot for every structure that has confidences."""
    risk, structures = report["risk_coverage"], report["study"]["structures"]
    return {"plots": {s: risk_plot(risk[s]) if risk.get(s) else None for s in structures}}


SECTION = Section(
    title="Risk and coverage",
    order=110,
    anchor="risk",
    how_to_read="If the least confident cases go to a person, how good is the rest? Better is a line that starts low "
    "and rises only at the right: then confidence finds the failures. A flat line means that confidence "
    "says nothing.",
    provides=("risk_coverage", "label_free"),
    needs=("cases", "summary"),
    compute=compute,
    template_values=template_values,
)
