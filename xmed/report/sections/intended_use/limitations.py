"""Limitations: what the numbers of a report themselves say against relying on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xmed.html.render import signed
from xmed.report.sections.leakage.compute import why_not_compared
from xmed.report.sources import Sources

Document = dict[str, Any]
FEW_PATIENTS = 30
"""Test patients below which the report says by itself that they are few."""
FEW_SEEDS = 3


def limitations(sources: Sources, report: Document) -> list[str]:
    """Return the limitations that follow from the numbers, a sentence each.

    Args:
        sources: The files of the run.
        report: summary, intervals, data, cases, reference_standard and robustness of the document.
    """
    return [
        *_of_sample(sources, report),
        *_of_study(sources, report),
        *(_of_test_set(report, sources.structures, sources.primary) if sources.edition > 1 else []),
        *_of_results(sources, report),
    ]


def _of_sample(sources: Sources, report: Document) -> Iterator[str]:
    cell = report["summary"]["adapted"].get(sources.primary, {}).get("dice", {})
    n, seeds = cell.get("n", 0), len(sources.study["seeds"])
    if n < FEW_PATIENTS:
        width = f": the interval of the mean Dice is {cell['ci'][1] - cell['ci'][0]:.2f} wide" if cell.get("ci") else ""
        yield f"{n} test patient{'s' * (n != 1)}{width}."
    if seeds < FEW_SEEDS:
        yield f"{seeds} training seed{'s' * (seeds != 1)}: how much training itself varies is not known."


def _of_study(sources: Sources, report: Document) -> Iterator[str]:
    adaptation = report["kind"] == "adaptation"
    if adaptation:
        yield "No external data set: source and target test data come from the datasets that were learned from."
    if why_not_compared(report["data"]["leakage"]):
        yield "Whether a test patient was learned from is not known: the data of the training are not here."
    if not report["summary"]["target_supervised"] and adaptation:
        yield "No ceiling was trained with target labels: gap closed and non-inferiority are unknown."
    yield "One reference label per case: agreement between raters, the ceiling of any model, is not known."
    if not sources.metrics.spacing_credible:
        yield "The spacing of the target is not credible: nothing is reported in millimetres or millilitres."
    if any(card.get("enlarges") for card in sources.cards):
        yield (
            "The model enlarges volumes that are smaller than its patch before it looks at them: how tightly an image "
            "was cropped, or how small its field of view is, changes at what scale it is read."
        )


def _of_test_set(report: Document, structures: list[str], primary: str) -> Iterator[str]:
    """Who has a structure, and what the ceiling and the trivial baselines reach."""
    standard = report["reference_standard"]
    for structure in structures:
        having, n = standard["patients_with"][structure], standard["patients"]
        n_invented = sum("invented" in case["causes"].get(structure, []) for case in report["cases"])
        if not having and n:
            drawn = f"; the adapted model drew it in {n_invented} of {len(report['cases'])} cases" if n_invented else ""
            yield f"No test patient has {structure}: how well it is found is not known{drawn}."
        elif having < n:
            yield f"{having} of {n} test patients {'has' if having == 1 else 'have'} {structure}."
        yield from _of_ceiling(report, structure)
        if structure != primary:
            yield from _of_gain(report, structure)


def _of_ceiling(report: Document, structure: str) -> Iterator[str]:
    lead = report["intervals"]["ceiling_over_trivial"][structure]
    if lead["value"] is None:
        return
    if lead["value"] <= 0:
        yield (
            f"{structure}: a net trained with target labels is not above the best trivial baseline; gap closed says "
            "nothing."
        )
    elif lead["ci"] is None or lead["ci"][0] <= 0:
        gain = signed(lead["value"])
        yield f"{structure}: that target labels gain anything over the best trivial baseline is not certain ({gain})."


def _of_gain(report: Document, structure: str) -> Iterator[str]:
    gain = report["intervals"]["gain_over_trivial"][structure]
    if gain["value"] is not None and not (gain["ci"] and gain["ci"][0] > 0):
        value = signed(gain["value"])
        yield f"{structure}: the gain over the best trivial baseline is not clearly above zero ({value})."


def _of_results(sources: Sources, report: Document) -> Iterator[str]:
    gain, robustness = report["intervals"]["gain_over_trivial"][sources.primary], report["robustness"]
    if gain["value"] is not None and gain["ci"] and gain["ci"][0] <= 0:
        yield "The gain over the best trivial baseline is not clearly above zero."
    if not robustness["curves"]:
        yield f"Robustness to disturbed images is not known: {robustness['reason']}."
    if report["data"]["leakage"]["near_duplicates"]:
        yield "Near duplicates of test images stand among the training images: somebody must look at them."
