"""Bland–Altman plot: coordinates for the template."""

from __future__ import annotations

from typing import Any

from xmed.html.axis import PLOT, PLOT_BOTTOM, PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, Axis

Figure = dict[str, Any]


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
