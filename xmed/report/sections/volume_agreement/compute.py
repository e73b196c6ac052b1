"""Section Volume agreement: predicted against reference volumes, patient by patient; never a correlation alone."""

from __future__ import annotations

from math import isfinite
from typing import Any

from xmed import metrics, stats
from xmed.html.axis import PLOT, PLOT_BOTTOM, PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, Axis
from xmed.report.rows import NO_REFERENCE, Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import interval, limits, paired
from xmed.run import Run

Figure = dict[str, Any]
Document = dict[str, Any]


def bland_altman_plot(agreement: dict[str, Any]) -> Figure | None:
    """Return the difference of the volumes over their mean, with bias and limits of agreement.

    Args:
        agreement: One structure of `volume_agreement` of the document.

    Returns:
        Coordinates for the template; None where no patient has both volumes.
    """
    points = [point for point in agreement["points"] if point["difference_ml"] is not None]
    if not points:
        return None
    lower, upper = agreement["loa_ml"] or [None, None]
    lower_ci, upper_ci = agreement["loa_ci"] or [None, None]
    levels = [
        ("bias", agreement["bias_ml"], agreement["bias_ci"]),
        ("upper limit", upper, upper_ci),
        ("lower limit", lower, lower_ci),
    ]
    defined = [level for level in levels if level[1] is not None]
    differences = [point["difference_ml"] for point in points] + [0.0]
    differences += [end for _, value, ci in defined for end in (value, *(ci or []))]
    x = Axis.over([point["mean_ml"] for point in points], PLOT_LEFT, PLOT_RIGHT)
    y = Axis.over(differences, PLOT_BOTTOM, PLOT_TOP)
    return {
        **PLOT, "x_ticks": x.ticks(), "y_ticks": y.ticks(), "zero": y(0.0), "n": len(points),
        "points": [{"x": x(point["mean_ml"]), "y": y(point["difference_ml"]), **point} for point in points],
        "levels": [
            {"name": name, "value": value, "y": y(value), "band": ci and {"top": y(ci[1]), "bottom": y(ci[0])}}
            for name, value, ci in defined
        ],
    }  # fmt: skip


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return volume_agreement of the adapted arm, in ml, for every structure.

    Limits of agreement after Bland & Altman (Lancet 1986) with their intervals, Lin's concordance correlation
    coefficient and the intraclass correlation ICC(A,1).
    """
    return {"volume_agreement": {structure: _agreement(sources, rows, structure) for structure in sources.structures}}


def _agreement(sources: Sources, rows: Rows, structure: str) -> Document:
    predicted = rows.by_patient("adapted", structure, "volume_ml")[0]
    reference = rows.by_patient("adapted", structure, "reference_volume_ml")[0]
    patients, x, y = paired(predicted, reference)
    result = stats.bland_altman(x, y)
    relative = stats.mean_ci([share for a, b in zip(x, y) if b > 0 and isfinite(share := (a - b) / b)])
    ratio = result.ratio and {
        "bias": result.ratio.bias,
        "loa": [result.ratio.lower, result.ratio.upper],
        "reason": None,
    }
    ends = [end for end in (result.lower, result.upper) if end is not None]
    return {
        "n": result.n,
        "bias_ml": result.bias.mean,
        "bias_ci": limits(result.bias.lo, result.bias.hi),
        "sd_ml": result.sd,
        "loa_ml": [end.value for end in ends] or None,
        "loa_ci": [[end.lo, end.hi] for end in ends] or None,
        "slope": interval(result.slope),
        "ratio": ratio or {"bias": None, "loa": None, "reason": "no proportional bias, or a volume of zero"},
        "ccc": interval(result.ccc),
        "icc": interval(result.icc),
        "relative_error": interval(relative),
        "points": [
            {"patient": p, "predicted_ml": a, "reference_ml": b, "difference_ml": a - b, "mean_ml": (a + b) / 2}
            for p, a, b in zip(patients, x, y)
        ],
        "reason": result.degenerate if patients else _why_no_volumes(sources, rows, structure),
    }


def _why_no_volumes(sources: Sources, rows: Rows, structure: str) -> str:
    if structure in rows.unsupported:
        return NO_REFERENCE
    credible = sources.metrics.spacing_credible
    return "no patient of the adapted arm has both volumes" if credible else metrics.NO_MM


def template_values(run: Run, report: Document) -> Document:
    """A Bland–Altman plot for every structure that has volumes."""
    plots = {
        structure: bland_altman_plot(agreement) if agreement else None
        for structure in report["study"]["structures"]
        for agreement in [report["volume_agreement"].get(structure)]
    }
    return {"plots": plots}


SECTION = Section(
    title="Volume agreement",
    order=90,
    anchor="volume",
    how_to_read="Each dot is a patient: predicted minus reference volume, over their mean. Better is a bias near zero "
    "and narrow limits of agreement. Dots that fan out or slope say that the error grows with size; then "
    "read the ratio.",
    provides=("volume_agreement",),
    compute=compute,
    template_values=template_values,
)
