"""Section Primary results: every arm's metrics with intervals, and what the adaptation gained."""

from __future__ import annotations

from typing import Any

from xmed import stats
from xmed.records.record import content
from xmed.report.row_facts import METRICS
from xmed.report.rows import NO_REFERENCE, Rows
from xmed.report.section_registry import Section
from xmed.report.sections.results.figure import SHOWN_ARMS, difference_plots, patient_plot
from xmed.report.sources import Sources
from xmed.report.stats_as_json import difference, interval
from xmed.report.trivial_baseline import best_trivial, why_no_gap
from xmed.run import ARMS, Run

Document = dict[str, Any]
ARM_NOTES = {
    "trivial_threshold": "no learning: intensity threshold and largest piece",
    "trivial_position": "no learning: the mean source mask placed in the field of view",
    "source_only": "trained on the labelled source, used as it is",
    "adapted": "this model: source labels, unlabelled target",
    "target_supervised": "the ceiling: trained with target labels, not deployable",
}


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return summary and intervals.

    A comparison of arms is made over the patients that all compared arms have. Gap closed is (adapted − source only) /
    (target-supervised − source only) in mean Dice.
    """
    structures, edition = sources.structures, sources.edition
    keys = ["gap_closed", "gain_over_trivial", "adapted_minus_source_only"]
    keys += ["ceiling_over_trivial"] if edition > 1 else []
    intervals: Document = {key: {} for key in keys}
    for structure in structures:
        for key, result in _comparisons(rows, structure, edition).items():
            intervals[key][structure] = result
    _add_holm(intervals["adapted_minus_source_only"])
    cells = {
        s: {arm: {m: content(rows.statistic(arm, s, m)) for m in METRICS} for arm in ARMS if rows.of(arm, s)}
        for s in structures
    }
    summary: Document = {arm: {s: cells[s][arm] for s in structures if arm in cells[s]} for arm in ARMS}
    for key in ("gap_closed", "gain_over_trivial"):
        summary[key] = {s: intervals[key][s]["value"] for s in structures}
    return {"summary": summary, "intervals": intervals}


def _comparisons(rows: Rows, structure: str, edition: int) -> dict[str, Document]:
    """Gap closed, and differences of mean Dice between arms, of one structure."""
    dice = {arm: rows.by_patient(arm, structure, "dice")[0] for arm in ARMS}
    compared = [dice[arm] for arm in ("source_only", "adapted", "target_supervised")]
    shared = sorted(set.intersection(*(set(values) for values in compared)))
    best = best_trivial(dice)
    baseline = {
        "baseline": best if dice[best] else None,
        "rule": next((row.rule for row in rows.of(best, structure)), None),
    }
    results = {
        "gap_closed": interval(
            stats.gap_closed_interval(*([values[patient] for patient in shared] for values in compared))
        ),
        "gain_over_trivial": {**difference(dice["adapted"], dice[best]), **baseline},
        "adapted_minus_source_only": difference(dice["adapted"], dice["source_only"]),
    }
    if edition > 1:
        results["ceiling_over_trivial"] = {**difference(dice["target_supervised"], dice[best]), **baseline}
        if reason := why_no_gap(results["ceiling_over_trivial"]["value"]):
            results["gap_closed"] |= {"value": None, "ci": None, "reason": reason}
    if structure in rows.unsupported:
        for result in results.values():
            result["reason"] = NO_REFERENCE
    return results


def _add_holm(tests: dict[str, Document]) -> None:
    """Add to each structure's test the p-value after Holm's correction over the structures."""
    tested = [structure for structure, test in tests.items() if test["p_sign_flip"] is not None]
    adjusted = dict(zip(tested, stats.holm_adjusted([tests[structure]["p_sign_flip"] for structure in tested])))
    for structure, test in tests.items():
        test["p_holm"] = adjusted.get(structure)


def template_values(run: Run, report: Document) -> Document:
    """The arms that have results, and both plots of every structure."""
    structures = report["study"]["structures"]
    return {
        "arms": [arm for arm in SHOWN_ARMS if report["summary"].get(arm)],
        "arm_notes": ARM_NOTES,
        "patient_plots": {structure: patient_plot(report, structure) for structure in structures},
        "difference_plots": {structure: difference_plots(report, structure) for structure in structures},
    }


SECTION = Section(
    title="Primary results",
    order=70,
    how_to_read="Means over the target's test patients, with 95 % intervals over patients beneath. The adapted row "
    "should stand close to the target-supervised ceiling and clear of both trivial baselines: a method "
    "that does not beat a threshold has learned nothing worth deploying.",
    provides=("summary", "intervals"),
    compute=compute,
    template_values=template_values,
)
