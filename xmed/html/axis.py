"""Axis: from numbers to coordinates in a drawing, with round ticks.

Units are those of the drawing's viewBox; y runs downwards. A drawing is at most a few hundred units wide, so that its
12-unit text can still be read on a telephone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10

PLOT_LEFT, PLOT_TOP, PLOT_RIGHT, PLOT_BOTTOM = 48, 12, 408, 222
PLOT = {
    "left": PLOT_LEFT, "top": PLOT_TOP, "right": PLOT_RIGHT, "bottom": PLOT_BOTTOM, "width": 470, "height": 264,
}  # fmt: skip
"""The frame of a plot with two axes, and its size, in units of the drawing."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis.

    Attributes:
        at: Coordinate in the drawing.
        label: The number as text.
    """

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A linear scale from [low, high] of the numbers to [start, end] of the drawing; start > end for an upward axis.

    Attributes:
        low: Lowest number on the axis.
        high: Highest number on the axis.
        start: Coordinate of `low`.
        end: Coordinate of `high`.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: list[float], start: float, end: float, margin: float = 0.06) -> Axis:
        """Return an axis that holds all values.

        Args:
            values: The numbers to show.
            start: Coordinate of the lowest number.
            end: Coordinate of the highest number.
            margin: Room at both ends as a share of the values' range; a range of zero is widened.

        Returns:
            The axis; from 0 to 1, with room, where there are no values.
        """
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        room = (high - low) * margin or max(abs(high) * 0.1, 0.5)
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """Return the coordinate of a number; one beyond the axis is moved to its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, about: int = 5) -> list[Tick]:
        """Choose round numbers on the axis.

        Args:
            about: How many ticks are wanted; the result may have one or two more or fewer.

        Returns:
            The ticks in increasing order of the number.
        """
        rough = (self.high - self.low) / max(about, 1)
        power = 10 ** floor(log10(rough))
        step = power * min((1, 2, 2.5, 5, 10), key=lambda n: abs(n * power - rough))
        digits = max(0, -floor(log10(step)) + (1 if step / 10 ** floor(log10(step)) == 2.5 else 0))
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        marks = [n * step for n in range(first, last + 1)]
        return [Tick(self(mark), f"{mark + 0.0:.{digits}f}".replace("-", "−")) for mark in marks]


def path(points: list[tuple[float, float]]) -> str:
    """Write the points of a polyline as SVG does.

    Args:
        points: (x, y) in units of the drawing.

    Returns:
        The value of the attribute `points`: "x,y x,y …".
    """
    return " ".join(f"{x},{y}" for x, y in points)
