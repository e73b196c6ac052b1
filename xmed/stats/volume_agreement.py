"""Volume agreement: do two measurements of one volume mean the same; correlation alone hides that they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from xmed.stats.interval import TOO_LARGE, Interval, alike, finite, ordinary, rescaled, scaled, t_ci


@dataclass(frozen=True)
class Limit:
    """A limit of agreement with its own interval."""

    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class RatioLimits:
    """Predicted divided by reference: geometric mean and limits of agreement."""

    bias: float
    lower: float
    upper: float


@dataclass(frozen=True)
class BlandAltman:
    """Bias and limits of agreement of predicted − reference, in the unit of the measurements."""

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
    """Bland & Altman, Lancet 1986, and Stat Methods Med Res 1999, doi 10.1177/096228029900800204, section 2 and 3.

    Limits are bias ± 1.96 standard deviations (ddof 1), each with the standard error sd·√(1/n + 1.96²/(2(n−1))). slope
    is that of the difference on the mean of both; where its interval leaves 0 out, the error grows with the volume and
    `ratio` gives the limits of predicted / reference. One value per patient.
    """
    x, y, by = _two(predicted, reference)
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
    pearson = None if alike(x) or alike(y) else float(np.corrcoef(ordinary(x)[0][0], ordinary(y)[0][0])[0, 1])
    return BlandAltman(n, bias, lower, upper, sd, slope, ratio, *agree, pearson, bias.degenerate)


def ccc(predicted: Sequence[float], reference: Sequence[float], level: float = 0.95) -> Interval:
    """Lin's concordance correlation, with the interval of its z-transform (Biometrics 1989, doi 10.2307/2532051).

    Variances are divided by n; the standard error is the corrected one of 2000 (Biometrics 56:324).
    """
    x, y, _ = _two(predicted, reference)
    n = int(x.size)
    if n < 2 or (alike(x) and alike(y)):
        return Interval(None, None, None, n, "none", "no spread to agree about")
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    apart = float((x.mean() - y.mean()) ** 2)
    value = 2 * covariance / (float(x.var() + y.var()) + apart)
    if n < 4 or alike(x) or alike(y):
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
    """ICC(A,1): two-way, absolute agreement, one measurement (McGraw & Wong 1996, doi 10.1037/1082-989X.1.1.30).

    It is not defined where neither patients nor measurements differ in their means (two patients, exchanged), and has
    no limits where patients do not: then their F distribution has none. As an estimate it may lie below −1.
    """
    x, y, _ = _two(predicted, reference)
    n, k = int(x.size), 2
    table = np.stack([x, y], 1)
    if n < 2 or alike(table):
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


def _two(predicted: Sequence[float], reference: Sequence[float]) -> tuple[np.ndarray, np.ndarray, int]:
    """Both as arrays divided by 2^e, and e (see `ordinary`)."""
    x, y = finite(predicted), finite(reference)
    if x.shape != y.shape:
        raise ValueError(f"agreement needs two equally long lists, not {x.size} and {y.size}")
    (x, y), by = ordinary(x, y)
    return x, y, by


def _rescaled(found: BlandAltman, e: int) -> BlandAltman:
    """What has a unit, in its own again; slope, ratio and the coefficients have none."""
    bias, sd = rescaled(found.bias, e), scaled(found.sd, e)
    ends = [scaled(end, e) for one in (found.lower, found.upper) if one for end in (one.value, one.lo, one.hi)]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends) or not known:
        why = found.degenerate or (TOO_LARGE if ends else None)
        return replace(found, bias=bias, sd=sd, lower=None, upper=None, degenerate=why)
    return replace(found, bias=bias, sd=sd, lower=Limit(*known[:3]), upper=Limit(*known[3:]))


def _slope(at: np.ndarray, d: np.ndarray, level: float) -> Interval:
    n = int(at.size)
    if n < 3 or alike(at):
        return Interval(None, None, None, n, "none", "fewer than three patients, or all of one size")
    if alike(d):
        return Interval(0.0, None, None, n, "none", "all differences are the same")
    found = stats.linregress(at, d)
    half = float(stats.t.ppf((1 + level) / 2, n - 2)) * float(found.stderr)
    if not np.isfinite([found.slope, half]).all():
        return Interval(None, None, None, n, "none", "the differences, or the sizes, are too much alike for a slope")
    return Interval(float(found.slope), float(found.slope) - half, float(found.slope) + half, n, "t")
