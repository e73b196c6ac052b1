"""Stats: what a handful of patients can and cannot show; intervals, paired tests, and the gap closed.

The patient is the unit: slices, cases and seeds of one patient are averaged first, never counted as more evidence
(a bootstrap of slices gave intervals 4.7 times too narrow). Intervals are two-sided, of 95 % unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

T_BELOW = 50
"""Fewer patients: t-interval (coverage 92 % at n = 10 where BCa has 90 %); from here on: BCa bootstrap."""
RESAMPLES = 9999
EXACT_UP_TO = 16
"""Pairs up to which all 2ⁿ sign flips are enumerated."""


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval. `degenerate` says why it has none, or no width; never NaN."""

    mean: float | None
    lo: float | None
    hi: float | None
    n: int
    method: str
    degenerate: str | None = None


@dataclass(frozen=True)
class Paired:
    """Mean difference of paired values with its interval, and two tests that it is zero."""

    difference: Interval
    p_sign_flip: float | None
    p_wilcoxon: float | None
    n_nonzero: int
    smallest_p: float | None
    note: str | None


@dataclass(frozen=True)
class Rank:
    """Where a method stands among others, where it stands in 95 % of the resamples, and in how many it is first."""

    rank: int
    lo: int
    hi: int
    first: float


def mean_ci(values: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of per-patient values and its interval: t below 50 patients, BCa bootstrap from there on.

    Efron 1987, doi 10.1080/01621459.1987.10478410. One value, or equal values, are flagged instead of giving NaN.
    """
    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("values must be finite: leave undefined ones out and count them")
    if x.size == 0:
        return Interval(None, None, None, 0, "none", "no patient with a defined value")
    mean, n = float(x.mean()), int(x.size)
    if n == 1:
        return Interval(mean, None, None, 1, "none", "one patient has no interval")
    if np.ptp(x) == 0:
        return Interval(mean, mean, mean, n, "none", "all patients have the same value")
    if n < T_BELOW:
        half = float(stats.t.ppf((1 + level) / 2, n - 1) * x.std(ddof=1) / np.sqrt(n))
        return Interval(mean, mean - half, mean + half, n, "t")
    random = np.random.default_rng(seed)
    found = stats.bootstrap(
        (x,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", rng=random, batch=500
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), n, "BCa bootstrap")


def paired(a: Sequence[float], b: Sequence[float], level: float = 0.95, seed: int = 0) -> Paired:
    """`a` − `b` over the same patients in the same order: effect and interval first, then the two tests."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"pairs need two equally long lists, not {x.shape} and {y.shape}")
    d = x - y
    n_nonzero = int((d != 0).sum())
    difference = mean_ci(d.tolist(), level, seed)
    if n_nonzero == 0:
        return Paired(difference, None, None, 0, None, "no pair differs" if d.size else "no pair")
    least = 2.0 ** (1 - n_nonzero)
    note = None if least <= 1 - level else f"cannot reach p = {1 - level:.2f} with {n_nonzero} differing pairs"
    wilcoxon = float(stats.wilcoxon(d[d != 0]).pvalue)
    return Paired(difference, _sign_flip(d, seed), wilcoxon, n_nonzero, least, note)


def _sign_flip(d: np.ndarray, seed: int) -> float:
    """Two-sided p of mean(d) when each pair's sign could as well be the other: exact up to 16 pairs."""
    if d.size <= EXACT_UP_TO:
        flips = np.array(list(product((1.0, -1.0), repeat=d.size)))
        extreme = np.abs(flips @ d) >= abs(d.sum()) - 1e-12
        return float(extreme.mean())
    flips = np.random.default_rng(seed).choice((1.0, -1.0), size=(RESAMPLES, d.size))
    return float((1 + (np.abs(flips @ d) >= abs(d.sum()) - 1e-12).sum()) / (1 + RESAMPLES))


def holm(p: Sequence[float]) -> list[float]:
    """P values adjusted for being one of a family, in the order given (Holm 1979, jstor 4615733)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    out = np.empty(len(p))
    out[order] = adjusted
    return out.tolist()


def ranks(values: Sequence[Sequence[float]], level: float = 0.95, seed: int = 0) -> list[Rank]:
    """Rank of every row (method) by its mean over the columns (the same patients for all); 1 is the largest mean.

    Interval and share of first places come from resampling patients, together for all methods (Wiesenfarth et al.,
    Sci Rep 2021, doi 10.1038/s41598-021-82017-6). A handful of patients makes them too narrow, never too wide.
    """
    x = np.asarray(values, dtype=np.float64)

    def places(means: np.ndarray) -> np.ndarray:
        return stats.rankdata(-means.round(12), method="min", axis=-1)  # equal means share the better place

    now = places(x.mean(1))
    drawn = _resampled(x.shape[1], seed, lambda pick: places(x[:, pick].mean(2).T))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0, method="closest_observation")
    first = (drawn == 1).mean(0)
    return [Rank(int(now[n]), int(low[n]), int(high[n]), float(first[n])) for n in range(len(x))]


def clopper_pearson(events: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion (Clopper & Pearson 1934): 0 of 20 is still up to 0.168."""
    if n < 1:
        return 0.0, 1.0
    found = stats.binomtest(events, n).proportion_ci(level, "exact")
    return float(found.low), float(found.high)


def seeds_and_patients(values: Mapping[tuple[int, str], float]) -> tuple[dict[str, float], float | None]:
    """Per-patient mean over seeds, and the standard deviation (ddof 1) of the seeds' own means; None for one seed.

    `values` maps (seed, patient) to a number. The two spreads answer different questions and are never pooled.
    """
    patients = sorted({patient for _, patient in values})
    seeds = sorted({seed for seed, _ in values})
    by_patient = {p: float(np.mean([values[s, p] for s in seeds if (s, p) in values])) for p in patients}
    by_seed = [float(np.mean([values[s, p] for p in patients if (s, p) in values])) for s in seeds]
    return by_patient, float(np.std(by_seed, ddof=1)) if len(seeds) > 1 else None


def gap_closed(
    source_only: Sequence[float],
    adapted: Sequence[float],
    supervised: Sequence[float],
    *,
    least_gap: float = 0.02,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """(adapted − source_only) / (supervised − source_only) of the means, with a percentile bootstrap over patients.

    The three lists run over the same patients. Not measurable, and flagged so, when supervision gains no more than
    `least_gap`; without interval when that happens in more than 1 % of the resamples.
    """
    s, a, t = (np.asarray(x, dtype=np.float64) for x in (source_only, adapted, supervised))
    if not s.shape == a.shape == t.shape:
        raise ValueError("gap closed needs the same patients in all three arms")
    n = int(s.size)
    if n == 0 or t.mean() - s.mean() <= least_gap + 1e-12:
        why = "no patient in all three arms" if n == 0 else f"supervision gains no more than {least_gap:g}"
        return Interval(None, None, None, n, "none", why)
    closed = float((a.mean() - s.mean()) / (t.mean() - s.mean()))
    if n == 1:
        return Interval(closed, None, None, 1, "none", "one patient has no interval")
    draws = _resampled(
        n, seed, lambda pick: np.stack([a[pick].mean(1) - s[pick].mean(1), t[pick].mean(1) - s[pick].mean(1)])
    )
    gained, gap = draws[:, draws[1] > least_gap]
    if gap.size < 0.99 * RESAMPLES:
        return Interval(closed, None, None, n, "none", "the gap itself is not certain enough for an interval")
    lo, hi = np.quantile(gained / gap, [(1 - level) / 2, (1 + level) / 2])
    return Interval(closed, float(lo), float(hi), n, "patient bootstrap, percentile")


def _resampled(n: int, seed: int, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    random = np.random.default_rng(seed)
    return of(random.integers(0, n, size=(RESAMPLES, n)))
