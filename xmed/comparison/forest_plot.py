"""Forest plot and cost bars of a ranking, as coordinates; the template draws them and escapes every text.

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
    """Make one line per tested method: its mean paired difference of Dice, the interval, and p after Holm.

    Args:
        ranking: The entries of one structure.
        structure: Name of the structure.
        against: What the methods are compared with, for example `source_only`.

    Returns:
        Coordinates for the template; None where no method was tested.
    """
    tested = [(entry["method"], entry[f"minus_{against}"]) for entry in ranking if entry.get(f"minus_{against}")]
    tested = [(name, test) for name, test in tested if test["value"] is not None]
    if not tested:
        return None
    ends = [end for _, test in tested for end in (test["ci"] or [test["value"]])] + [0.0]
    step = next((step for step in STEPS if (max(ends) - min(ends)) / step <= 8), STEPS[-1])
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    high = high if high > low else low + step

    def x(value: float) -> float:
        coordinate: float = round(LEFT + ACROSS * (value - low) / (high - low), 1)
        return coordinate

    lines = []
    for n, (name, test) in enumerate(tested):
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
    """Make one bar per trained method: seconds of one seed's training, with every training that it begins with.

    Args:
        ranking: The entries of one structure.

    Returns:
        Coordinates for the template.
    """
    longest = max(entry["seconds"] for entry in ranking) or 1.0
    lines = [
        {
            "method": entry["method"],
            "y": TOP + LINE * (n + 0.5),
            "width": round(ACROSS * entry["seconds"] / longest, 1),
            "seconds": entry["seconds"],
            "blind": not entry["target_labels_used"],
        }
        for n, entry in enumerate(ranking)
    ]
    return {"lines": lines, "left": LEFT, "width": LEFT + ACROSS + RIGHT, "height": TOP + LINE * len(lines) + 6}
