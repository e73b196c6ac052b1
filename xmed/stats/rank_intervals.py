"""Rank intervals: where methods stand among each other, and how far another draw of patients would move them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xmed.stats.interval import finite, ordinary, resampled


@dataclass(frozen=True)
class Rank:
    """Where a method stands among others, and in 95 % of the resamples, and in how many of them it alone is first."""

    rank: int
    lo: int
    hi: int
    first: float


def ranks(values: Sequence[Sequence[float]], level: float = 0.95, seed: int = 0) -> list[Rank]:
    """Rank of every row (method) by its mean over the columns (the same patients for all); 1 is the largest mean.

    Interval and share of first places come from resampling patients, together for all methods (Wiesenfarth et al.,
    Sci Rep 2021, doi 10.1038/s41598-021-82017-6). A handful of patients makes them too narrow, never too wide. Empty
    where there is no patient.
    """
    (x,), _ = ordinary(finite(values))
    if x.size == 0:
        return []

    def places(means: np.ndarray) -> np.ndarray:
        return stats.rankdata(-means.round(12), method="min", axis=-1)  # equal means share the better place

    now = places(x.mean(1))
    drawn = resampled(x.shape[1], seed, lambda pick: places(x[:, pick].mean(2).T))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0, method="closest_observation")
    alone = (drawn == 1).sum(1) == 1
    first = ((drawn == 1) & alone[:, None]).mean(0)
    return [Rank(int(now[n]), int(low[n]), int(high[n]), float(first[n])) for n in range(len(x))]


def mean_ranks(values: Sequence[Sequence[float]]) -> list[float]:
    """Rank then aggregate: the mean over patients (columns) of each method's (row's) rank; ties share the mean."""
    (x,), _ = ordinary(finite(values))
    return stats.rankdata(-x.round(12), axis=0).mean(1).tolist() if x.size else []


def agreement(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's τ-b of two rankings of the same methods, −1 to 1; None where one tells no two apart."""
    found = float(stats.kendalltau(finite(a), finite(b)).statistic) if len(a) > 1 else np.nan
    return None if np.isnan(found) else found
