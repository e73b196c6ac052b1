"""Risk-coverage plot: coordinates for the template."""

from __future__ import annotations

from typing import Any

from xmed.html.axis import PLOT, PLOT_BOTTOM, PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, Axis, path

Figure = dict[str, Any]
MOST_DOTS = 60


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
