"""Calibration: whether predicted probabilities agree with observed frequencies, near the structure.

Most of an image is background that every model predicts with certainty. Counting it makes any model look calibrated (an
error of .162 became .0026), so only voxels near the prediction or the reference are counted. Of each case a few sums in
fixed cells of probability are kept; they can be added over cases without the probabilities themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy import ndimage

from xmed.errors import XmedError
from xmed.metrics.surface import Spacing, bounding_box
from xmed.records.evaluation import CalibrationSums

BINS = 15
"""Bins of equal width of the expected calibration error (Guo et al. 2017, arXiv 1706.04599)."""
LEAST = 1e-7
"""Smallest distance of probabilities from 0 and 1 in the logarithmic score, near the resolution of float32."""
CELLS = np.unique(np.concatenate([np.arange(BINS + 1) / BINS, 1 / (1 + np.exp(np.linspace(-10, 10, 41)))]))
"""Edges of the cells: those of the bins, and finer ones near 0 and 1, where most voxels are."""
_BIN_OF = np.minimum((CELLS[:-1] + CELLS[1:]) / 2 * BINS, BINS - 1).astype(int)


def soft_dice_confidence(probability: np.ndarray, prediction: np.ndarray) -> float | None:
    """Soft Dice confidence 2Σpŷ / (Σp + Σŷ), 0 to 1: an estimate of the Dice if the probabilities p are correct.

    Source: Borges et al., Soft Dice Confidence, 2024, arXiv 2402.10665.

    Args:
        probability: Probability p of the structure, float (i, j, k).
        prediction: Predicted mask ŷ, bool (i, j, k).

    Returns:
        The confidence, or None if both are empty.

    Raises:
        XmedError: METRIC_INPUT for different shapes, or probabilities outside 0 to 1.
    """
    p, mask = checked_probabilities(probability), np.asarray(prediction, dtype=bool)
    if p.shape != mask.shape:
        raise XmedError("METRIC_INPUT", f"probabilities {p.shape}, prediction {mask.shape}", "both on one grid")
    total = float(p.sum(dtype=np.float64)) + np.count_nonzero(mask)
    return 2.0 * float(p[mask].sum(dtype=np.float64)) / total if total > 0 else None


def pairwise_dice(predictions: Sequence[np.ndarray]) -> float | None:
    """Mean Dice of all pairs of an ensemble's masks; two empty masks count as 1.

    Source: Zenk et al., 2024, arXiv 2406.03323, where it is the best simple confidence.

    Args:
        predictions: Masks of the members, bool (i, j, k).

    Returns:
        The mean, or None for fewer than two masks.
    """
    pair_dice = []
    for a, b in combinations(predictions, 2):
        total = np.count_nonzero(a) + np.count_nonzero(b)
        pair_dice.append(2.0 * np.count_nonzero(a & b) / total if total else 1.0)
    return float(np.mean(pair_dice)) if pair_dice else None


def checked_probabilities(array: np.ndarray) -> np.ndarray:
    """The array clipped to [0, 1], after a check that it holds probabilities.

    Args:
        array: Probabilities, float, of any shape.

    Returns:
        The same, without what rounding puts above 1.

    Raises:
        XmedError: METRIC_INPUT for values outside 0 to 1, such as logits.
    """
    p = np.asarray(array)
    if p.dtype.kind != "f" or not (p.min(initial=0.0) >= 0.0 and p.max(initial=0.0) <= 1.0 + 1e-6):
        raise XmedError("METRIC_INPUT", f"{p.dtype} probabilities", "numbers from 0 to 1", "take the softmax first")
    clipped: np.ndarray = np.clip(p, 0.0, 1.0)
    return clipped


@dataclass(frozen=True, eq=False)
class Calibration:
    """Sums from which calibration errors are computed; `a + b` is the calibration of both cases together.

    Attributes:
        sums: (3, cells): voxels, sum of their probabilities, and voxels of the structure, per cell of probability.
        squared: Sum of the squared errors.
        logarithmic: Sum of the negative log-likelihoods.
    """

    sums: np.ndarray = field(default_factory=lambda: np.zeros((3, len(CELLS) - 1)))
    squared: float = 0.0
    logarithmic: float = 0.0

    @property
    def n(self) -> int:
        """Number of voxels."""
        return int(self.sums[0].sum())

    def __add__(self, other: Calibration) -> Calibration:
        scores = self.squared + other.squared, self.logarithmic + other.logarithmic
        return Calibration(self.sums + other.sums, *scores)

    def ece(self) -> float | None:
        """Expected calibration error Σ |Σp − Σy| / n over `BINS` bins of equal width.

        Source: Guo et al. 2017, arXiv 1706.04599, equation 3.

        Returns:
            The error, 0 to 1; None without voxels.
        """
        return _error(*self._binned(_BIN_OF)) if self.n else None

    def ace(self) -> float | None:
        """Calibration error over up to `BINS` bins with about equal numbers of voxels.

        Bins consist of whole cells, so that voxels of nearly equal probability stay together.

        Source: Nixon et al. 2019, arXiv 1904.01685.

        Returns:
            The error, 0 to 1; None without voxels.
        """
        if not self.n:
            return None
        before = np.cumsum(self.sums[0]) - self.sums[0] / 2
        return _error(*self._binned(np.minimum(before * BINS / self.n, BINS - 1).astype(int)))

    def brier(self) -> float | None:
        """Mean squared error of the probabilities (Brier 1950).

        Returns:
            The score, 0 to 1; None without voxels.
        """
        return self.squared / self.n if self.n else None

    def nll(self) -> float | None:
        """Mean negative log-likelihood, natural logarithm.

        Returns:
            The mean over voxels, 0 or more; None without voxels.
        """
        return self.logarithmic / self.n if self.n else None

    def reliability(self) -> list[dict[str, float | None]]:
        """The bins of the reliability diagram.

        Returns:
            One dict per bin: `lo` and `hi`, its edges; `n`, its voxels; `probability`, their mean probability, and
            `frequency`, the share of them in the structure, both None in an empty bin.
        """
        rows: list[dict[str, float | None]] = []
        for n, (count, probability, events) in enumerate(zip(*self._binned(_BIN_OF))):
            shares = (float(probability / count), float(events / count)) if count else (None, None)
            edges = {"lo": n / BINS, "hi": (n + 1) / BINS, "n": float(count)}
            rows.append({**edges, "probability": shares[0], "frequency": shares[1]})
        return rows

    def as_record(self) -> CalibrationSums:
        """Write the sums down as a row of rows.json keeps them.

        Returns:
            The record that `from_record` reads; empty cells are left out.
        """
        cells = [[n, *row] for n, row in enumerate(self.sums.T.tolist()) if row[0]]
        return CalibrationSums(cells=cells, squared=self.squared, logarithmic=self.logarithmic)

    @classmethod
    def from_record(cls, record: CalibrationSums) -> Calibration:
        """Read the sums of a row of rows.json.

        Args:
            record: As `as_record` gives it.

        Returns:
            The calibration.
        """
        calibration = cls(squared=record.squared, logarithmic=record.logarithmic)
        for cell, *row in record.cells:
            calibration.sums[:, int(cell)] = row
        return calibration

    def _binned(self, bin_of: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(bin_of, row, BINS) for row in self.sums])


def measure_calibration(
    probability: np.ndarray, prediction: np.ndarray, reference: np.ndarray, spacing: Spacing, margin_mm: float = 5.0
) -> Calibration:
    """Measure the calibration of one structure of one case, over the voxels of `scored_region`.

    Args:
        probability: Probability of the structure, float (i, j, k).
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm along i, j, k.
        margin_mm: Distance from the masks up to which voxels count.

    Returns:
        The sums over these voxels.

    Raises:
        XmedError: METRIC_INPUT for different shapes, or probabilities outside 0 to 1.
    """
    p, reference_mask = checked_probabilities(probability), np.asarray(reference, dtype=bool)
    if p.shape != reference_mask.shape:
        raise XmedError(
            "METRIC_INPUT", f"probabilities {p.shape}, reference {reference_mask.shape}", "both on one grid"
        )
    where = scored_region(prediction, reference_mask, spacing, margin_mm)
    x, y = p[where].astype(np.float64), reference_mask[where]
    cells = len(CELLS) - 1
    cell = np.clip(np.searchsorted(CELLS, x, side="right") - 1, 0, cells - 1)
    clipped = np.clip(x, LEAST, 1 - LEAST)
    return Calibration(
        np.stack([np.bincount(cell, weights, cells) for weights in (np.ones_like(x), x, y.astype(np.float64))]),
        float(((x - y) ** 2).sum()),
        float(-np.log(np.where(y, clipped, 1 - clipped)).sum()),
    )


def scored_region(
    prediction: np.ndarray, reference: np.ndarray, spacing: Spacing, margin_mm: float = 5.0
) -> np.ndarray:
    """The voxels within `margin_mm` of either mask, and always those that share a face with it, bool (i, j, k).

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm along i, j, k.
        margin_mm: The distance.

    Returns:
        The region, bool (i, j, k); empty where both masks are.
    """
    either = np.asarray(prediction, dtype=bool) | np.asarray(reference, dtype=bool)
    region = np.zeros(either.shape, dtype=bool)
    if not either.any():
        return region
    grown = []
    for part, n, length in zip(bounding_box(either), either.shape, spacing):
        reach = max(1, int(margin_mm // length))
        grown.append(slice(max(part.start - reach, 0), min(part.stop + reach, n)))
    box = tuple(grown)
    near = ndimage.distance_transform_edt(~either[box], spacing) <= margin_mm + 1e-6
    region[box] = near | ndimage.binary_dilation(either[box])
    return region


def _error(count: np.ndarray, probability: np.ndarray, events: np.ndarray) -> float:
    return float(np.abs(probability - events).sum() / count.sum())
