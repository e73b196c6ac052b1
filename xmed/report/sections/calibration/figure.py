"""Reliability diagram: coordinates for the template."""

from __future__ import annotations

from typing import Any

from xmed.html.axis import PLOT, PLOT_BOTTOM, PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, Axis, path

Figure = dict[str, Any]
BAR_HEIGHT = 26
"""Of the bin with the most voxels, in units of the drawing."""


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
