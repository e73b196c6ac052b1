"""Interval: means and medians over patients with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

T_BELOW = 50
"""Below this number of patients the t-interval is used (coverage 92 % at n = 10, BCa bootstrap 90 %)."""
RESAMPLES = 9999
"""Draws of every bootstrap and permutation test here."""
ORDINARY = 200
"""Values beyond 2^±200 (10^±60) are scaled first: from about 10^±77 on their fourth power overflows or vanishes."""
ALIKE = 1e-12
"""Values that differ by less than this share of the largest count as equal: sums round differently."""
TOO_LARGE = "the result is larger than a number of 64 bits"


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval; never NaN.

    Attributes:
        mean: The estimate, or None.
        lo: Lower limit, or None.
        hi: Upper limit, or None.
        n: Number of patients.
        method: How the interval was computed.
        degenerate: Why there is no interval, or one without width; None otherwise.
    """

    mean: float | None
    lo: float | None
    hi: float | None
    n: int
    method: str
    degenerate: str | None = None

    @property
    def value(self) -> float | None:
        """The estimate, under a name for estimates that are not means."""
        return self.mean


@dataclass(frozen=True)
class Median:
    """A median and quartiles with an interval between two order statistics.

    Attributes:
        value: The median, or None.
        lo: Lower limit, or None.
        hi: Upper limit, or None.
        q1: First quartile.
        q3: Third quartile.
        n: Number of patients.
        coverage: The exact coverage of the interval.
        method: How the interval was computed.
        degenerate: Why there is no interval, or one without width; None otherwise.
    """

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
    """Mean of per-patient values with its interval: t below `T_BELOW` patients, else BCa bootstrap.

    Args:
        values: One value per patient.
        level: Confidence level.
        seed: Seed of the bootstrap.

    Returns:
        The mean and its interval.

    Raises:
        ValueError: For NaN or infinite values.
    """
    return t_ci(values, level) if len(values) < T_BELOW else bootstrap_ci(values, level, seed)


def t_ci(values: Sequence[float], level: float = 0.95) -> Interval:
    """Mean of per-patient values with Student's t-interval, for any number of patients.

    Args:
        values: One value per patient.
        level: Confidence level.

    Returns:
        The mean and its interval; no interval for one patient.

    Raises:
        ValueError: For NaN or infinite values.
    """
    (x,), by = scale_to_ordinary(np.sort(as_finite(values)))  # sorted: the order of rows must not change the sum
    if (interval := _degenerate(x)) is None:
        half = float(stats.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size))
        interval = Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, int(x.size), "t")
    return rescale_interval(interval, by)


def bootstrap_ci(values: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of per-patient values with a BCa bootstrap interval, for any number of patients.

    Source: Efron 1987, doi 10.1080/01621459.1987.10478410.

    Args:
        values: One value per patient.
        level: Confidence level.
        seed: Seed of the resamples.

    Returns:
        The mean and its interval; no interval for one patient.

    Raises:
        ValueError: For NaN or infinite values.
    """
    (x,), by = scale_to_ordinary(np.sort(as_finite(values)))
    if (degenerate := _degenerate(x)) is not None:
        return rescale_interval(degenerate, by)
    random = np.random.default_rng(seed)
    ci = stats.bootstrap(
        (x,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", rng=random, batch=500
    ).confidence_interval
    if not np.isfinite([ci.low, ci.high]).all():
        why = "the bootstrap has no limits for values this alike"
        return rescale_interval(Interval(float(x.mean()), None, None, int(x.size), "none", why), by)
    return rescale_interval(Interval(float(x.mean()), float(ci.low), float(ci.high), int(x.size), "BCa bootstrap"), by)


def median_ci(values: Sequence[float], level: float = 0.95) -> Median:
    """Median of per-patient values with an exact interval between order statistics.

    The limits are the narrowest symmetric pair of order statistics whose binomial coverage is at least `level`. Six
    values are the fewest that reach 95 %. A bootstrap of the median is not used, because its coverage can be far off.

    Source: Conover, Practical Nonparametric Statistics, section 3.2.

    Args:
        values: One value per patient.
        level: Confidence level.

    Returns:
        The median, the quartiles and the interval.

    Raises:
        ValueError: For NaN or infinite values.
    """
    (x,), by = scale_to_ordinary(np.sort(as_finite(values)))
    n = int(x.size)
    if n == 0:
        return Median(None, None, None, None, None, 0, None, "none", "no patient with a defined value")
    q1, value, q3 = (scale_back(float(q), by) for q in np.quantile(x, (0.25, 0.5, 0.75)))
    k = int(stats.binom.ppf((1 - level) / 2, n, 0.5))  # the limits leave out the k smallest and the k largest values
    while k > 0 and _covered(n, k) < level:
        k -= 1
    if _covered(n, k) < level:
        return Median(value, None, None, q1, q3, n, None, "none", f"{n} values cannot give a median {level:.0%} limits")
    same = "all patients have the same value" if x[0] == x[-1] else None
    lo, hi = scale_back(float(x[k]), by), scale_back(float(x[n - 1 - k]), by)
    return Median(value, lo, hi, q1, q3, n, _covered(n, k), "order statistics", same)


def as_finite(values: Sequence[float] | Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """The values as a float64 array of the same shape.

    Raises:
        ValueError: For NaN or infinite values, so that a missing value cannot disappear in a mean.
    """
    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("values must be finite: leave undefined ones out and count them")
    return x


def scale_to_ordinary(*arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Scale very large or very small values so that their powers can be represented.

    Returns:
        The arrays divided by 2^e, and e, which is 0 for values of ordinary size. Division by a power of two is exact.
    """
    most = max((float(np.abs(x).max(initial=0.0)) for x in arrays), default=0.0)
    e = int(np.frexp(most)[1]) if most else 0
    return ([np.ldexp(x, -e) for x in arrays], e) if abs(e) > ORDINARY else (list(arrays), 0)


def scale_back(value: float | None, e: int) -> float | None:
    """`value` · 2^e; None if that is not finite."""
    product = None if value is None else float(np.ldexp(value, e)) if e else value
    return product if product is None or np.isfinite(product) else None


def rescale_interval(interval: Interval, e: int) -> Interval:
    """Multiply an interval of values that were divided by 2^e by 2^e."""
    if e == 0:
        return interval
    mean, lo, hi = (scale_back(value, e) for value in (interval.mean, interval.lo, interval.hi))
    if interval.lo is not None and (lo is None or hi is None):
        return Interval(mean, None, None, interval.n, "none", TOO_LARGE)
    return Interval(mean, lo, hi, interval.n, interval.method, interval.degenerate)


def nearly_constant(x: np.ndarray) -> bool:
    """Whether all values are equal up to rounding; True for no values."""
    return bool(x.size == 0 or np.ptp(x) <= ALIKE * np.abs(x).max())


def bootstrap_statistic(n: int, seed: int, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Compute `of` for `RESAMPLES` draws with replacement of n patients, given as indices (RESAMPLES, n)."""
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
