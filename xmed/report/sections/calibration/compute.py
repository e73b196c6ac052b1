"""Section Calibration: whether the model's probabilities are as often right as they say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from xmed import metrics, stats
from xmed.html.axis import PLOT, PLOT_BOTTOM, PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, Axis, path
from xmed.records.evaluation import CaseRow
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import interval
from xmed.run import Run

Figure = dict[str, Any]
BAR_HEIGHT = 26
"""Of the bin with the most voxels, in units of the drawing."""
Document = dict[str, Any]
MEASURES = ("ece", "ace", "brier", "nll")
"""Expected and adaptive calibration error, Brier score, negative log-likelihood; see xmed.metrics."""
REGION = "prediction or truth, dilated by 5 mm; background far away would dilute the error"


def reliability_plot(calibration: dict[str, Any]) -> Figure | None:
    """Return observed share over stated probability, one point per bin, with the bins' voxel counts as bars below.

    Args:
        calibration: One structure of `calibration` of the document.

    Returns:
        Coordinates for the template; None where no bin has a voxel.
    """
    bins = [entry for entry in calibration["bins"] if entry["n"] and entry["observed"] is not None]
    if not bins:
        return None
    x, y = Axis(0.0, 1.0, PLOT_LEFT, PLOT_RIGHT), Axis(0.0, 1.0, PLOT_BOTTOM, PLOT_TOP)
    most = max(entry["n"] for entry in bins)
    points = [{"x": x(entry["confidence"]), "y": y(entry["observed"]), **entry} for entry in bins]
    bars = [
        {
            "x": x(entry["lo"]),
            "width": round(x(entry["hi"]) - x(entry["lo"]) - 1, 1),
            "height": round(BAR_HEIGHT * entry["n"] / most, 1),
        }
        for entry in bins
    ]
    return {
        **PLOT, "height": 296, "x_ticks": x.ticks(), "y_ticks": y.ticks(), "points": points, "bars": bars,
        "path": path([(point["x"], point["y"]) for point in points]),
        "gaps": [{"x": point["x"], "from": point["y"], "to": y(point["confidence"])} for point in points],
    }  # fmt: skip


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return calibration of the adapted arm for every structure: reliability inside the region, pooled and per case."""
    calibration = {}
    for structure in sources.structures:
        of_structure = [row for row in rows.of("adapted", structure) if row.calibration]
        calibration[structure] = _calibration(of_structure, rows.why_no_probabilities(structure))
    return {"calibration": calibration}


def _calibration(rows: Sequence[CaseRow], reason: str) -> Document:
    common: Document = {"arm": "adapted", "roi": REGION, "n_cases": len({row.case for row in rows})}
    measured = [(row, metrics.Calibration.from_record(row.calibration)) for row in rows if row.calibration]
    measured = [(row, sums) for row, sums in measured if sums.n]
    if not measured:
        pooled = dict.fromkeys(MEASURES)
        return {**common, "n_voxels": 0, "bins": [], "pooled": pooled, "per_case": {}, "reason": reason}
    total = measured[0][1]
    for _, sums in measured[1:]:
        total = total + sums
    bins = [
        {**entry, "confidence": entry["probability"], "observed": entry["frequency"]} for entry in total.reliability()
    ]
    return {
        **common,
        "n_voxels": total.n,
        "bins": bins,
        "pooled": {name: getattr(total, name)() for name in MEASURES},
        "per_case": {
            name: interval(stats.mean_ci(_patient_means([(row, getattr(sums, name)()) for row, sums in measured])))
            for name in MEASURES
        },
        "reason": None,
    }


def _patient_means(values: Sequence[tuple[CaseRow, float | None]]) -> list[float]:
    by_patient: dict[str, list[float]] = defaultdict(list)
    for row, value in values:
        if value is not None:
            by_patient[row.patient].append(value)
    return [sum(of_patient) / len(of_patient) for _, of_patient in sorted(by_patient.items())]


def template_values(run: Run, report: Document) -> Document:
    """A reliability diagram for every structure that has probabilities."""
    calibration, structures = report["calibration"], report["study"]["structures"]
    return {"plots": {s: reliability_plot(calibration[s]) if calibration.get(s) else None for s in structures}}


SECTION = Section(
    title="Calibration",
    order=100,
    how_to_read="Of the voxels to which the model gives a probability, how many belong to the structure? Better is "
    "close to the diagonal. Below it the model is too sure of itself, and its confidence needs correcting "
    "before anyone acts on it.",
    provides=("calibration",),
    kept_from_copy=("calibration",),
    compute=compute,
    template_values=template_values,
)
