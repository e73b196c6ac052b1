"""Confidence: how sure a prediction is of itself, as one number per structure and case."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from xmed.errors import XmedError


def soft_dice_confidence(probability: np.ndarray, prediction: np.ndarray) -> float | None:
    """2Σpŷ / (Σp + Σŷ), 0 to 1: the Dice to be expected if the probabilities p of the structure are right.

    probability: float (i, j, k); prediction ŷ: bool (i, j, k). None where both are empty. Borges et al., Soft Dice
    Confidence, 2024, arXiv 2402.10665. Raises XmedError METRIC_INPUT for different shapes, or
    probabilities beyond 0 and 1.
    """
    p, drawn = probabilities(probability), np.asarray(prediction, dtype=bool)
    if p.shape != drawn.shape:
        raise XmedError("METRIC_INPUT", f"probabilities {p.shape}, prediction {drawn.shape}", "both on one grid")
    total = float(p.sum(dtype=np.float64)) + np.count_nonzero(drawn)
    return 2.0 * float(p[drawn].sum(dtype=np.float64)) / total if total > 0 else None


def pairwise_dice(predictions: Sequence[np.ndarray]) -> float | None:
    """Mean Dice of every two of an ensemble's bool masks (i, j, k); two empty ones agree. None for fewer than two.

    The strongest simple confidence of Zenk et al., 2024, arXiv 2406.03323.
    """
    found = []
    for a, b in combinations(predictions, 2):
        total = np.count_nonzero(a) + np.count_nonzero(b)
        found.append(2.0 * np.count_nonzero(a & b) / total if total else 1.0)
    return float(np.mean(found)) if found else None


def probabilities(array: np.ndarray) -> np.ndarray:
    """The array, if all of it lies on [0, 1]; else XmedError METRIC_INPUT: logits are no probabilities."""
    p = np.asarray(array)
    if p.dtype.kind != "f" or not (p.min(initial=0.0) >= 0.0 and p.max(initial=0.0) <= 1.0 + 1e-6):
        raise XmedError("METRIC_INPUT", f"{p.dtype} probabilities", "numbers from 0 to 1", "take the softmax first")
    return np.clip(p, 0.0, 1.0)
