"""Volume agreement: agreement of predicted and reference volumes, which correlation alone does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from xmed.stats.interval import (
    TOO_LARGE,
    Interval,
    as_finite,
    nearly_constant,
    rescale_interval,
    scale_back,
    scale_to_ordinary,
    t_ci,
)


@dataclass(frozen=True)
class Limit:
    """A limit of agreement with its confidence interval."""

    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class RatioLimits:
    """Geometric mean and limits of agreement of the ratio predicted / reference."""

    bias: float
    lower: float
    upper: float


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of predicted and reference measurements.

    Attributes:
        n: Number of patients.
        bias: Mean of predicted − reference, in the unit of the measurements.
        lower: Lower limit of agreement.
        upper: Upper limit of agreement.
        sd: Standard deviation of the differences.
        slope: Slope of the difference on the mean of both.
        ratio: Limits of agreement of the ratio, if the error grows with the size.
        ccc: Lin's concordance correlation coefficient.
        icc: Intraclass correlation ICC(A,1).
        pearson: Pearson correlation.
        degenerate: Why there are no limits, or None.
    """

    n: int
    bias: Interval
    lower: Limit | None
    upper: Limit | None
    sd: float | None
    slope: Interval
    ratio: RatioLimits | None
    ccc: Interval
    icc: Interval
    pearson: float | None
    degenerate: str | None = None


def bland_altman(predicted: Sequence[float], reference: Sequence[float], level: float = 0.95) -> BlandAltman:
    """Bland-Altman analysis with concordance and intraclass correlation.

    The limits of agreement are bias ± 1.96 standard deviations (ddof 1), each with the standard error
    sd·√(1/n + 1.96²/(2(n−1))). If the interval of the slope excludes 0, the error grows with the size, and `ratio`
    gives the limits of predicted / reference.

    Source: Bland & Altman, Lancet 1986; Stat Methods Med Res 1999, doi 10.1177/096228029900800204, sections 2 and 3.

    Args:
        predicted: Predicted values, one per patient.
        reference: Reference values, same patients in the same order.
        level: Confidence level.

    Returns:
        Bias, limits of agreement, slope, and the coefficients.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    x, y, by = _as_pairs(predicted, reference)
    if by:
        return _rescaled(bland_altman(x.tolist(), y.tolist(), level), by)
    d, n = x - y, int(x.size)
    bias, agree = t_ci(d.tolist(), level), (ccc(predicted, reference, level), icc_a1(predicted, reference, level))
    slope = _slope((x + y) / 2, d, level)
    if n < 2:
        return BlandAltman(n, bias, None, None, None, slope, None, *agree, None, bias.degenerate)
    sd, z = float(d.std(ddof=1)), float(stats.norm.ppf((1 + level) / 2))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * sd * np.sqrt(1 / n + z**2 / (2 * (n - 1)))
    lower, upper = (
        Limit(float(at), float(at - half), float(at + half)) for at in (d.mean() - z * sd, d.mean() + z * sd)
    )
    grows = slope.lo is not None and slope.hi is not None and slope.lo * slope.hi > 0
    ratio = None
    if grows and min(x.min(), y.min()) > 0:
        logs = np.log(x / y)
        middle, reach = float(logs.mean()), z * float(logs.std(ddof=1))
        ratio = RatioLimits(*(float(np.exp(at)) for at in (middle, middle - reach, middle + reach)))
    pearson = None
    if not (nearly_constant(x) or nearly_constant(y)):
        pearson = float(np.corrcoef(scale_to_ordinary(x)[0][0], scale_to_ordinary(y)[0][0])[0, 1])
    return BlandAltman(n, bias, lower, upper, sd, slope, ratio, *agree, pearson, bias.degenerate)


def ccc(predicted: Sequence[float], reference: Sequence[float], level: float = 0.95) -> Interval:
    """Lin's concordance correlation coefficient with the interval of its z-transform.

    Variances are divided by n.

    Source: Lin, Biometrics 1989, doi 10.2307/2532051, with the standard error corrected in Biometrics 2000, 56:324.

    Args:
        predicted: Predicted values, one per patient.
        reference: Reference values, same patients in the same order.
        level: Confidence level.

    Returns:
        The coefficient and its interval; a reason where one of them is not defined.
    """
    x, y, _ = _as_pairs(predicted, reference)
    n = int(x.size)
    if n < 2 or (nearly_constant(x) and nearly_constant(y)):
        return Interval(None, None, None, n, "none", "no spread to agree about")
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    apart = float((x.mean() - y.mean()) ** 2)
    value = 2 * covariance / (float(x.var() + y.var()) + apart)
    if n < 4 or nearly_constant(x) or nearly_constant(y):
        return Interval(value, None, None, n, "none", "fewer than four patients, or one measurement is constant")
    r = covariance / np.sqrt(x.var() * y.var())
    if abs(value) >= 1 - 1e-12 or abs(r) < 1e-12:
        return Interval(value, None, None, n, "none", "the correlation is perfect or nought")
    u = apart / np.sqrt(x.var() * y.var())
    c2 = value**2
    variance = (1 - r**2) * c2 / ((1 - c2) * r**2) + 2 * value**3 * (1 - value) * u / (r * (1 - c2) ** 2)
    variance = (variance - value**4 * u**2 / (2 * r**2 * (1 - c2) ** 2)) / (n - 2)
    half = float(stats.norm.ppf((1 + level) / 2)) * np.sqrt(max(variance, 0.0))
    lo, hi = (float(np.tanh(np.arctanh(value) + side * half)) for side in (-1, 1))
    if not np.isfinite([lo, hi]).all():
        return Interval(value, None, None, n, "none", "the two measurements have too little in common for limits")
    return Interval(value, lo, hi, n, "Fisher z")


def icc_a1(predicted: Sequence[float], reference: Sequence[float], level: float = 0.95) -> Interval:
    """Intraclass correlation ICC(A,1): two-way model, absolute agreement, single measurement.

    It is not defined if neither the patients nor the two measurements differ in their means, and has no limits if the
    patients do not. The estimate can be below −1.

    Source: McGraw & Wong 1996, doi 10.1037/1082-989X.1.1.30.

    Args:
        predicted: Predicted values, one per patient.
        reference: Reference values, same patients in the same order.
        level: Confidence level.

    Returns:
        The coefficient and its interval; a reason where one of them is not defined.
    """
    x, y, _ = _as_pairs(predicted, reference)
    n, k = int(x.size), 2
    table = np.stack([x, y], 1)
    if n < 2 or nearly_constant(table):
        return Interval(None, None, None, n, "none", "no spread to agree about")
    rows, columns = table.mean(1), table.mean(0)
    msr = k * float(rows.var(ddof=1))
    msc = n * float(columns.var(ddof=1))
    residual = table - rows[:, None] - columns[None] + table.mean()
    mse = float((residual**2).sum()) / ((n - 1) * (k - 1))
    below = msr + (k - 1) * mse + k * (msc - mse) / n
    if below <= 1e-12 * (msr + msc + mse):
        why = "neither the patients nor the two measurements differ in their means"
        return Interval(None, None, None, n, "none", why)
    value = (msr - mse) / below
    if mse <= 1e-12 * msr:
        return Interval(value, None, None, n, "none", "nothing is left but a constant shift")
    if msr <= 1e-12 * (msc + mse):
        return Interval(value, None, None, n, "none", "the patients do not differ in the mean of both measurements")
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * msc + b * mse) ** 2 / ((a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1)))
    above = float(stats.f.ppf((1 + level) / 2, n - 1, freedom))
    below = float(stats.f.ppf((1 + level) / 2, freedom, n - 1))
    rest = k * msc + (k * n - k - n) * mse
    lo = n * (msr - above * mse) / (above * rest + n * msr)
    hi = n * (below * msr - mse) / (rest + n * below * msr)
    if not np.isfinite([lo, hi]).all():
        return Interval(value, None, None, n, "none", "the patients differ too little for limits")
    return Interval(value, float(lo), float(hi), n, "McGraw & Wong F")


def _as_pairs(predicted: Sequence[float], reference: Sequence[float]) -> tuple[np.ndarray, np.ndarray, int]:
    """Both lists as arrays (n,) divided by 2^e, and e (see `scale_to_ordinary`)."""
    x, y = as_finite(predicted), as_finite(reference)
    if x.shape != y.shape:
        raise ValueError(f"agreement needs two equally long lists, not {x.size} and {y.size}")
    (x, y), by = scale_to_ordinary(x, y)
    return x, y, by


def _rescaled(result: BlandAltman, e: int) -> BlandAltman:
    """Multiply the quantities that have a unit by 2^e; slope, ratio and the coefficients have none."""
    bias, sd = rescale_interval(result.bias, e), scale_back(result.sd, e)
    ends = [
        scale_back(end, e)
        for limit in (result.lower, result.upper)
        if limit
        for end in (limit.value, limit.lo, limit.hi)
    ]
    finite = [end for end in ends if end is not None]
    if len(finite) < len(ends) or not finite:
        why = result.degenerate or (TOO_LARGE if ends else None)
        return replace(result, bias=bias, sd=sd, lower=None, upper=None, degenerate=why)
    return replace(result, bias=bias, sd=sd, lower=Limit(*finite[:3]), upper=Limit(*finite[3:]))


def _slope(at: np.ndarray, d: np.ndarray, level: float) -> Interval:
    n = int(at.size)
    if n < 3 or nearly_constant(at):
        return Interval(None, None, None, n, "none", "fewer than three patients, or all of one size")
    if nearly_constant(d):
        return Interval(0.0, None, None, n, "none", "all differences are the same")
    line = stats.linregress(at, d)
    half = float(stats.t.ppf((1 + level) / 2, n - 2)) * float(line.stderr)
    if not np.isfinite([line.slope, half]).all():
        return Interval(None, None, None, n, "none", "the differences, or the sizes, are too much alike for a slope")
    return Interval(float(line.slope), float(line.slope) - half, float(line.slope) + half, n, "t")
