"""Calibration: of the voxels given 80 %, are 80 % the structure; counted where it is a question at all.

Most of an image is background that every model is sure of: counted too, it makes any model look calibrated (.162 became
.0026). Only voxels near the prediction or the reference are counted. What is kept of a case is a few sums in fixed
cells of probability: they add up over cases, and the probabilities themselves can be thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from xmed.errors import XmedError
from xmed.metrics.confidence import probabilities
from xmed.metrics.marching import Spacing
from xmed.metrics.surface import bounds

BINS = 15
"""Equal widths of the expected calibration error (Guo et al. 2017, arXiv 1706.04599)."""
LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1 in the logarithmic score, near what float32 can hold."""
CELLS = np.unique(np.concatenate([np.arange(BINS + 1) / BINS, 1 / (1 + np.exp(np.linspace(-10, 10, 41)))]))
"""Edges of the cells: those of the bins, and finer ones near 0 and 1, where most voxels are."""
_BIN_OF = np.minimum((CELLS[:-1] + CELLS[1:]) / 2 * BINS, BINS - 1).astype(int)


@dataclass(frozen=True, eq=False)
class Calibration:
    """sums: (3, cells), per cell of probability: voxels, sum of their probabilities, how many are the structure.

    squared, logarithmic: sums of the two proper scores. `a + b` is the calibration of both cases together.
    """

    sums: np.ndarray = field(default_factory=lambda: np.zeros((3, len(CELLS) - 1)))
    squared: float = 0.0
    logarithmic: float = 0.0

    @property
    def n(self) -> int:
        """Voxels."""
        return int(self.sums[0].sum())

    def __add__(self, other: Calibration) -> Calibration:
        scores = self.squared + other.squared, self.logarithmic + other.logarithmic
        return Calibration(self.sums + other.sums, *scores)

    def ece(self) -> float | None:
        """Expected calibration error over 15 bins of equal width; None without a voxel."""
        return _error(*self._binned(_BIN_OF)) if self.n else None

    def ace(self) -> float | None:
        """The same over up to 15 bins of about equal many voxels (Nixon et al. 2019, arXiv 1904.01685).

        Bins are made of whole cells: voxels of nearly equal probability are never parted.
        """
        if not self.n:
            return None
        before = np.cumsum(self.sums[0]) - self.sums[0] / 2
        return _error(*self._binned(np.minimum(before * BINS / self.n, BINS - 1).astype(int)))

    def brier(self) -> float | None:
        """Mean squared error of the probabilities (Brier 1950); None without a voxel."""
        return self.squared / self.n if self.n else None

    def nll(self) -> float | None:
        """Mean negative log-likelihood, natural logarithm; None without a voxel."""
        return self.logarithmic / self.n if self.n else None

    def reliability(self) -> list[dict[str, float | None]]:
        """The 15 bins of the reliability diagram: edges, voxels, mean probability, and how often it was true."""
        rows: list[dict[str, float | None]] = []
        for n, (count, probability, events) in enumerate(zip(*self._binned(_BIN_OF))):
            shares = (float(probability / count), float(events / count)) if count else (None, None)
            edges = {"lo": n / BINS, "hi": (n + 1) / BINS, "n": float(count)}
            rows.append({**edges, "probability": shares[0], "frequency": shares[1]})
        return rows

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads; empty cells are left out."""
        cells = [[n, *row] for n, row in enumerate(self.sums.T.tolist()) if row[0]]
        return {"cells": cells, "squared": self.squared, "logarithmic": self.logarithmic}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Calibration:
        found = cls(squared=document["squared"], logarithmic=document["logarithmic"])
        for n, *row in document["cells"]:
            found.sums[:, n] = row
        return found

    def _binned(self, bin_of: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(bin_of, row, BINS) for row in self.sums])


def calibration(
    probability: np.ndarray, prediction: np.ndarray, reference: np.ndarray, spacing: Spacing, margin_mm: float = 5.0
) -> Calibration:
    """The calibration of one structure of one case, over the voxels within `margin_mm` of prediction or reference.

    probability: float (i, j, k) of the structure; prediction, reference: bool (i, j, k). Raises XmedError METRIC_INPUT
    for different shapes or probabilities beyond 0 and 1.
    """
    p, truth = probabilities(probability), np.asarray(reference, dtype=bool)
    if p.shape != truth.shape:
        raise XmedError("METRIC_INPUT", f"probabilities {p.shape}, reference {truth.shape}", "both on one grid")
    where = region(prediction, truth, spacing, margin_mm)
    x, y = p[where].astype(np.float64), truth[where]
    cells = len(CELLS) - 1
    cell = np.clip(np.searchsorted(CELLS, x, side="right") - 1, 0, cells - 1)
    kept = np.clip(x, LEAST, 1 - LEAST)
    return Calibration(
        np.stack([np.bincount(cell, weights, cells) for weights in (np.ones_like(x), x, y.astype(np.float64))]),
        float(((x - y) ** 2).sum()),
        float(-np.log(np.where(y, kept, 1 - kept)).sum()),
    )


def region(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing, margin_mm: float = 5.0) -> np.ndarray:
    """Bool (i, j, k): voxels within `margin_mm` of either mask, and always those that share a face with it."""
    either = np.asarray(prediction, dtype=bool) | np.asarray(reference, dtype=bool)
    out = np.zeros(either.shape, dtype=bool)
    if not either.any():
        return out
    grown = []
    for part, n, length in zip(bounds(either), either.shape, spacing):
        reach = max(1, int(margin_mm // length))
        grown.append(slice(max(part.start - reach, 0), min(part.stop + reach, n)))
    box = tuple(grown)
    near = ndimage.distance_transform_edt(~either[box], spacing) <= margin_mm + 1e-6
    out[box] = near | ndimage.binary_dilation(either[box])
    return out


def _error(count: np.ndarray, probability: np.ndarray, events: np.ndarray) -> float:
    return float(np.abs(probability - events).sum() / count.sum())
