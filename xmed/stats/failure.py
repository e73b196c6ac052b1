"""Failure: how well the confidence of predictions detects failed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xmed.stats.interval import as_finite


@dataclass(frozen=True)
class FailureDetection:
    """How well low confidence detects predictions with a Dice below a limit.

    Attributes:
        below: The limit.
        n: Number of cases.
        n_failed: Number of failed cases.
        prevalence: Share of failed cases.
        auroc: Probability that a failed case has a lower confidence than a good one; ties count half.
        fpr95: Share of good cases that are rejected by a threshold that rejects at least 95 % of the failures.
        degenerate: Why there is no result, or None.
    """

    below: float
    n: int
    n_failed: int
    prevalence: float | None
    auroc: float | None
    fpr95: float | None
    degenerate: str | None = None


def failure_detection(confidence: Sequence[float], dice: Sequence[float], below: float) -> FailureDetection:
    """Compute how well confidence detects failed predictions.

    Source: AUROC as the Mann-Whitney statistic (Hanley & McNeil, Radiology 1982).

    Args:
        confidence: Confidence of each case.
        dice: Dice of each case.
        below: Dice below which a case counts as failed; from the agreement of raters where it is known.

    Returns:
        The result; without AUROC, but with a reason, where no case or every case failed.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    c, bad = as_finite(confidence), as_finite(dice) < below
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
