"""Rank intervals: ranks of methods, and their intervals over resampled patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xmed.stats.interval import as_finite, bootstrap_statistic, scale_to_ordinary


@dataclass(frozen=True)
class RankInterval:
    """The rank of a method, its interval over resamples, and the share of resamples in which it alone is first."""

    rank: int
    lo: int
    hi: int
    first: float


def bootstrap_ranks(values: Sequence[Sequence[float]], level: float = 0.95, seed: int = 0) -> list[RankInterval]:
    """Rank methods by their means over patients, with intervals from a bootstrap of patients.

    The same resamples are used for all methods. With few patients the intervals are too narrow.

    Source: Wiesenfarth et al., Sci Rep 2021, doi 10.1038/s41598-021-82017-6.

    Args:
        values: Values (methods, patients).
        level: Confidence level.
        seed: Seed of the bootstrap.

    Returns:
        The rank of each method, 1 for the largest mean; empty without patients.

    Raises:
        ValueError: For NaN or infinite values.
    """
    (x,), _ = scale_to_ordinary(as_finite(values))
    if x.size == 0:
        return []

    def places(means: np.ndarray) -> np.ndarray:
        ranks: np.ndarray = stats.rankdata(-means.round(12), method="min", axis=-1)  # equal means share the better rank
        return ranks

    now = places(x.mean(1))
    drawn = bootstrap_statistic(x.shape[1], seed, lambda pick: places(x[:, pick].mean(2).T))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0, method="closest_observation")
    alone = (drawn == 1).sum(1) == 1
    first = ((drawn == 1) & alone[:, None]).mean(0)
    return [RankInterval(int(now[n]), int(low[n]), int(high[n]), float(first[n])) for n in range(len(x))]


def mean_ranks(values: Sequence[Sequence[float]]) -> list[float]:
    """Mean over patients of each method's rank (rank then aggregate); ties share the mean rank.

    Args:
        values: Values (methods, patients).

    Returns:
        The mean rank of each method, 1 for the best; empty without patients.
    """
    (x,), _ = scale_to_ordinary(as_finite(values))
    return stats.rankdata(-x.round(12), axis=0).mean(1).tolist() if x.size else []


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's τ-b of two rankings of the same methods, −1 to 1; None if one of them is constant.

    Args:
        a: Rank of each method in the first ranking.
        b: Rank of each method in the second ranking, same order.

    Returns:
        The coefficient; None if one ranking is constant.
    """
    tau = float(stats.kendalltau(as_finite(a), as_finite(b)).statistic) if len(a) > 1 else np.nan
    return None if np.isnan(tau) else tau
