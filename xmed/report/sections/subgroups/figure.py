"""Forest plot of the subgroups: coordinates for the template."""

from __future__ import annotations

from math import floor
from typing import Any

from xmed.html.axis import Axis

Figure = dict[str, Any]


def forest_plot(groups: list[dict[str, Any]], overall: dict[str, float | None]) -> Figure:
    """Return every level of every subgroup on one scale of Dice.

    Args:
        groups: `subgroups` of the document.
        overall: Each structure's mean Dice over all patients, drawn as a line to compare with.
    """
    levels = [level for group in groups for level in group["levels"]]
    means = [level["mean"] for level in levels] + list(overall.values())
    lows = [level["ci"][0] for level in levels if level["ci"]]
    least = min([1.0, *lows, *(mean for mean in means if mean is not None)])
    axis = Axis(max(0.0, floor(10 * least - 0.5) / 10), 1.0, 4, 196)
    rows = []
    for level in levels:
        x, ci = None if level["mean"] is None else axis(level["mean"]), level["ci"]
        rows.append({"x": x, "from": axis(ci[0]) if ci else None, "to": axis(ci[1]) if ci else None})
    lines = {name: None if mean is None else axis(mean) for name, mean in overall.items()}
    return {"rows": rows, "overall": lines, "scale": [axis.low, (axis.low + 1) / 2, 1.0]}
