"""Coordinates of a forest plot and of cost bars from a ranking; the template draws them and escapes every text.

Coordinates are in units of the drawing's viewBox, y downwards.
"""

from __future__ import annotations

import math
from typing import Any

from xmed.comparison.conclusion import ALPHA

Entry = dict[str, Any]
Figure = dict[str, Any]
LINE, TOP, LEFT, ACROSS, RIGHT = 27.0, 16.0, 150.0, 520.0, 130.0
"""Height of a line, room above, for names, for the scale and for numbers."""
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def forest(ranking: list[Entry], structure: str, against: str) -> Figure | None:
    """Make one line per tested method: mean paired Dice difference to `against`, its interval, p after Holm."""
    found = [(one["method"], one[f"minus_{against}"]) for one in ranking if one.get(f"minus_{against}")]
    found = [(name, test) for name, test in found if test["value"] is not None]
    if not found:
        return None
    ends = [end for _, test in found for end in (test["ci"] or [test["value"]])] + [0.0]
    step = next((step for step in STEPS if (max(ends) - min(ends)) / step <= 8), STEPS[-1])
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    high = high if high > low else low + step

    def x(value: float) -> float:
        return round(LEFT + ACROSS * (value - low) / (high - low), 1)

    lines = []
    for n, (name, test) in enumerate(found):
        near, far = test["ci"] or (test["value"], test["value"])
        lines.append({
            "method": name, "y": TOP + LINE * (n + 0.5), "x": x(test["value"]), "low": x(near), "high": x(far),
            "value": test["value"], "ci": test["ci"], "p": test["p_holm"],
            "sure": test["p_holm"] is not None and test["p_holm"] <= ALPHA,
        })  # fmt: skip
    count = round((high - low) / step)
    grid = [{"x": x(low + n * step), "value": low + n * step} for n in range(count + 1)]
    bottom = TOP + LINE * len(lines)
    size = {"width": LEFT + ACROSS + RIGHT, "height": bottom + 30, "top": TOP, "bottom": bottom, "zero": x(0.0)}
    return {"structure": structure, "against": against, "lines": lines, "grid": grid, "right": LEFT + ACROSS, **size}


def cost(ranking: list[Entry]) -> Figure:
    """Make one bar per trained method: seconds of one seed's training, with every training that it begins with."""
    longest = max(one["seconds"] for one in ranking) or 1.0
    lines = [
        {
            "method": one["method"], "y": TOP + LINE * (n + 0.5), "width": round(ACROSS * one["seconds"] / longest, 1),
            "seconds": one["seconds"], "blind": not one["target_labels_used"],
        }
        for n, one in enumerate(ranking)
    ]  # fmt: skip
    return {"lines": lines, "left": LEFT, "width": LEFT + ACROSS + RIGHT, "height": TOP + LINE * len(lines) + 6}
