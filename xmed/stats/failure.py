"""Failure: can the confidence of a prediction tell that it is bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xmed.stats.interval import finite


@dataclass(frozen=True)
class FailureDetection:
    """How well low confidence finds predictions with Dice under `below`, and how many of those there are.

    auroc: the chance that a failed case is less sure than a good one, ties counted half. fpr95: the share of good cases
    that are rejected with the failures when at least 95 % of the failures are.
    """

    below: float
    n: int
    n_failed: int
    prevalence: float | None
    auroc: float | None
    fpr95: float | None
    degenerate: str | None = None


def failure_detection(confidence: Sequence[float], dice: Sequence[float], below: float) -> FailureDetection:
    """below: what counts as failed, from the raters' agreement where it is known. Equal confidences stay together."""
    c, bad = finite(confidence), finite(dice) < below
    if c.shape != bad.shape:
        raise ValueError(f"{c.size} confidences and {bad.size} predictions")
    n, n_bad = int(c.size), int(bad.sum())
    share = n_bad / n if n else None
    if n_bad in (0, n):
        why = "no case" if n == 0 else "no prediction failed" if n_bad == 0 else "every prediction failed"
        return FailureDetection(below, n, n_bad, share, None, None, why)
    rank = stats.rankdata(-c)
    auroc = (rank[bad].sum() - n_bad * (n_bad + 1) / 2) / (n_bad * (n - n_bad))
    caught = np.sort(c[bad])[int(np.ceil(0.95 * n_bad - 1e-9)) - 1]  # rejecting up to here rejects 95 % of the failures
    return FailureDetection(below, n, n_bad, share, float(auroc), float((c[~bad] <= caught).mean()))
