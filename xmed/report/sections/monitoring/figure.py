"""Plot of a reference distribution: coordinates for the template."""

from __future__ import annotations

from typing import Any

from xmed.html.axis import Axis

Figure = dict[str, Any]
MOST_DOTS = 200
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")


def distribution_plot(distribution: dict[str, Any]) -> Figure | None:
    """Return the values, the middle half and the 5th to 95th percentile, on a scale of their own.

    Args:
        distribution: One of `monitoring.distributions` of the document.

    Returns:
        Coordinates for the template; None without values.
    """
    marks = distribution["quantiles"] or {}
    values = [value for value in distribution["values"] if value is not None]
    if not values or any(marks.get(quantile) is None for quantile in QUANTILES):
        return None
    axis = Axis.over([*values, *marks.values()], 4, 196)
    return {
        "values": [axis(value) for value in values[:MOST_DOTS]],
        "low": axis(marks["0.05"]),
        "high": axis(marks["0.95"]),
        "from": axis(marks["0.25"]),
        "to": axis(marks["0.75"]),
        "median": axis(marks["0.5"]),
        "ends": axis.ticks(3),
    }
