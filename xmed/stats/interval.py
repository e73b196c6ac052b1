"""Interval: a mean or median over patients and how far chance may have moved it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

T_BELOW = 50
"""Fewer patients: t-interval (coverage 92 % at n = 10 where BCa has 90 %); from here on: BCa bootstrap."""
RESAMPLES = 9999
ORDINARY = 200
"""Values beyond 2^±200 (10^±60) are scaled first: from about 10^±77 on their fourth power is no number any more."""
ALIKE = 1e-12
"""Values that differ by less than this share of the largest are the same but for the rounding of sums."""
TOO_LARGE = "the result is larger than a number of 64 bits"


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval. `degenerate` says why it has none, or no width; never NaN."""

    mean: float | None
    lo: float | None
    hi: float | None
    n: int
    method: str
    degenerate: str | None = None

    @property
    def value(self) -> float | None:
        """The estimate, where it is not a mean."""
        return self.mean


@dataclass(frozen=True)
class Median:
    """A median, its quartiles, and the interval between two of the ordered values; `coverage` is what it really has."""

    value: float | None
    lo: float | None
    hi: float | None
    q1: float | None
    q3: float | None
    n: int
    coverage: float | None
    method: str
    degenerate: str | None = None


def mean_ci(values: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of per-patient values and its interval: t below 50 patients, BCa bootstrap from there on.

    One value, or equal values, are flagged instead of giving NaN.
    """
    return t_ci(values, level) if len(values) < T_BELOW else bootstrap_ci(values, level, seed)


def t_ci(values: Sequence[float], level: float = 0.95) -> Interval:
    """Mean of per-patient values and Student's interval, whatever their number."""
    (x,), by = ordinary(np.sort(finite(values)))  # the order of rows must not change a single digit
    if (found := _degenerate(x)) is None:
        half = float(stats.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size))
        found = Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, int(x.size), "t")
    return rescaled(found, by)


def bootstrap_ci(values: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of per-patient values and its BCa interval from 9999 resamples of patients, whatever their number.

    Efron 1987, doi 10.1080/01621459.1987.10478410. Each value is a patient, so resampling values resamples clusters.
    """
    (x,), by = ordinary(np.sort(finite(values)))
    if (found := _degenerate(x)) is not None:
        return rescaled(found, by)
    random = np.random.default_rng(seed)
    ci = stats.bootstrap(
        (x,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", rng=random, batch=500
    ).confidence_interval
    if not np.isfinite([ci.low, ci.high]).all():
        why = "the bootstrap has no limits for values this alike"
        return rescaled(Interval(float(x.mean()), None, None, int(x.size), "none", why), by)
    return rescaled(Interval(float(x.mean()), float(ci.low), float(ci.high), int(x.size), "BCa bootstrap"), by)


def median_ci(values: Sequence[float], level: float = 0.95) -> Median:
    """Median of per-patient values between order statistics, by the binomial distribution of values below it.

    The narrowest symmetric pair that covers at least `level` (Conover, Practical Nonparametric Statistics, 3.2). No
    bootstrap: that of a median can miss by far. Six values are the fewest that reach 95 %.
    """
    (x,), by = ordinary(np.sort(finite(values)))
    n = int(x.size)
    if n == 0:
        return Median(None, None, None, None, None, 0, None, "none", "no patient with a defined value")
    q1, value, q3 = (scaled(float(q), by) for q in np.quantile(x, (0.25, 0.5, 0.75)))
    k = int(stats.binom.ppf((1 - level) / 2, n, 0.5))  # the k smallest and the k largest values may be left out
    while k > 0 and _covered(n, k) < level:
        k -= 1
    if _covered(n, k) < level:
        return Median(value, None, None, q1, q3, n, None, "none", f"{n} values cannot give a median {level:.0%} limits")
    same = "all patients have the same value" if x[0] == x[-1] else None
    lo, hi = scaled(float(x[k]), by), scaled(float(x[n - 1 - k]), by)
    return Median(value, lo, hi, q1, q3, n, _covered(n, k), "order statistics", same)


def finite(values: Sequence[float] | Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """The values as an array (n,). Raises ValueError for NaN or infinity: what is missing may not vanish in a mean."""
    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("values must be finite: leave undefined ones out and count them")
    return x


def ordinary(*arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
    """The arrays divided by 2^e together, and e: 0 for values of ordinary size, else so that their squares are numbers.

    A power of two changes no digit.
    """
    most = max((float(np.abs(x).max(initial=0.0)) for x in arrays), default=0.0)
    e = int(np.frexp(most)[1]) if most else 0
    return ([np.ldexp(x, -e) for x in arrays], e) if abs(e) > ORDINARY else (list(arrays), 0)


def scaled(value: float | None, e: int) -> float | None:
    """`value` · 2^e; None where that is no number any more."""
    found = None if value is None else float(np.ldexp(value, e)) if e else value
    return found if found is None or np.isfinite(found) else None


def rescaled(found: Interval, e: int) -> Interval:
    """An interval of values that were divided by 2^e, in their own unit."""
    if e == 0:
        return found
    mean, lo, hi = (scaled(one, e) for one in (found.mean, found.lo, found.hi))
    if found.lo is not None and (lo is None or hi is None):
        return Interval(mean, None, None, found.n, "none", TOO_LARGE)
    return Interval(mean, lo, hi, found.n, found.method, found.degenerate)


def alike(x: np.ndarray) -> bool:
    """Whether values differ by no more than rounding does; also of none."""
    return bool(x.size == 0 or np.ptp(x) <= ALIKE * np.abs(x).max())


def resampled(n: int, seed: int, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`of` the 9999 draws with replacement of n patients, given as indices (9999, n)."""
    random = np.random.default_rng(seed)
    return of(random.integers(0, n, size=(RESAMPLES, n)))


def _covered(n: int, k: int) -> float:
    return float(1 - 2 * stats.binom.cdf(k, n, 0.5))


def _degenerate(x: np.ndarray) -> Interval | None:
    if x.size == 0:
        return Interval(None, None, None, 0, "none", "no patient with a defined value")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, None, None, 1, "none", "one patient has no interval")
    if np.ptp(x) == 0:
        return Interval(mean, mean, mean, int(x.size), "none", "all patients have the same value")
    return None
