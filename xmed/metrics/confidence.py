"""Confidence: the confidence of a prediction as one number per structure and case."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from xmed.errors import XmedError


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
