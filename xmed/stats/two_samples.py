"""Two samples: tests whether new data differ from validation data, with p values adjusted for several tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from xmed.stats.interval import as_finite, scale_back, scale_to_ordinary

LEAST_SHARE = 1e-4
"""The share that an empty bin counts as in a PSI, because the logarithm of 0 is not defined."""


def holm_adjusted(p: Sequence[float]) -> list[float]:
    """Adjust p values for a family of tests by Holm's step-down method.

    Source: Holm, Scand J Stat 1979, jstor 4615733: the i-th smallest of m p values is multiplied by m − i + 1.

    Args:
        p: The p values.

    Returns:
        The adjusted p values in the same order.

    Raises:
        ValueError: For values outside 0 to 1.
    """
    x, order = as_finite(p), np.argsort(p, kind="stable")
    if x.size and not 0 <= x.min() <= x.max() <= 1:
        raise ValueError(f"p values lie between 0 and 1, not at {x.min():g} or {x.max():g}")
    adjusted = np.maximum.accumulate(x[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    in_given_order = np.empty(len(p))
    in_given_order[order] = adjusted
    return in_given_order.tolist()


@dataclass(frozen=True)
class MmdTest:
    """Squared maximum mean discrepancy of two sets of features, and how often chance alone gives as much."""

    value: float
    sigma: float
    p: float | None
    n_reference: int
    n_new: int
    note: str | None = None


@dataclass(frozen=True)
class Shift:
    """The change of a number or category between reference and new data.

    Attributes:
        statistic: The test statistic, or None.
        p: P value, or None.
        n_reference: Number of reference values.
        n_new: Number of new values.
        method: The test.
        note: Why there is no test, or None.
    """

    statistic: float | None
    p: float | None
    n_reference: int
    n_new: int
    method: str
    note: str | None = None


@dataclass(frozen=True)
class ComponentShift:
    """The change along each principal component of both sides.

    Attributes:
        shifts: The test of each component.
        p_holm: P values adjusted for all components.
        explained: Share of the variance of each component.
    """

    shifts: tuple[Shift, ...]
    p_holm: tuple[float, ...]
    explained: tuple[float, ...]


def mmd_test(
    reference: np.ndarray, new: np.ndarray, sigma: float | None = None, permutations: int = 999, seed: int = 0
) -> MmdTest:
    """Maximum mean discrepancy test with the kernel exp(−|x − y|² / 2σ²).

    The unbiased MMD² is about 0, or negative, without a difference.

    Source: Gretton et al., JMLR 2012, equation 3.

    Args:
        reference: Features (n, d) of the reference.
        new: Features (m, d) of the new data.
        sigma: Kernel width; None takes the median distance between all samples.
        permutations: Number of permutations for the p value; 0 for none.
        seed: Seed of the permutations.

    Returns:
        The discrepancy and its p value.

    Raises:
        ValueError: For fewer than two samples on a side, NaN or infinite values.
    """
    x, y = (np.atleast_2d(np.asarray(side, dtype=np.float64).T).T for side in (reference, new))
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        raise ValueError(f"{n} and {m} samples: two of each are the fewest that have a discrepancy")
    both = np.concatenate([x, y])
    as_finite(both.ravel())
    (both,), by = scale_to_ordinary(both)
    width = float(np.median(pdist(both))) if sigma is None else float(np.ldexp(sigma, -by))
    if width == 0:
        return MmdTest(0.0, 0.0, None, n, m, "most samples are the same")
    kernel = np.exp(-cdist(both, both, "sqeuclidean") / (2 * width**2))
    value = _unbiased(kernel, np.arange(n + m) < n)
    random, member = np.random.default_rng(seed), np.arange(n + m) < n
    drawn = [_unbiased(kernel, random.permutation(member)) for _ in range(permutations)]
    p = (1 + sum(permuted >= value - 1e-12 for permuted in drawn)) / (1 + permutations) if permutations else None
    return MmdTest(value, scale_back(width, by) or 0.0, p, n, m)


def ks_test(reference: Sequence[float], new: Sequence[float]) -> Shift:
    """Two-sample Kolmogorov–Smirnov test of one number (volume, confidence, an intensity).

    Args:
        reference: Values of the reference.
        new: Values of the new data.

    Returns:
        The test; without a p value, but with a note, where one side is empty.

    Raises:
        ValueError: For NaN or infinite values.
    """
    x, y = as_finite(reference), as_finite(new)
    if not x.size or not y.size:
        return Shift(None, None, x.size, y.size, "none", "one side has no values")
    test = stats.ks_2samp(x, y)
    return Shift(float(test.statistic), float(test.pvalue), x.size, y.size, "Kolmogorov–Smirnov")


def ks_component_tests(reference: np.ndarray, new: np.ndarray, components: int = 5) -> ComponentShift:
    """Kolmogorov–Smirnov tests along the first principal components, adjusted by Holm's method.

    The components are those of both sides together, which keeps the p values exact. With the reference's components a
    shift of 64 features was detected in 44 % of draws, and in 7.5 % without a shift at p ≤ 0.05, instead of in 100 %
    and 5 % (100 against 30 samples, 200 draws).

    Args:
        reference: Features (n, d) of the reference.
        new: Features (m, d) of the new data.
        components: Number of principal components.

    Returns:
        The test of each component; none where a side has fewer than two samples.
    """
    x, y = np.asarray(reference, dtype=np.float64), np.asarray(new, dtype=np.float64)
    if min(len(x), len(y)) < 2:
        return ComponentShift((), (), ())
    (x, y), _ = scale_to_ordinary(x, y)
    both = np.concatenate([x, y])
    middle = both.mean(0)
    _, spread, axes = np.linalg.svd(both - middle, full_matrices=False)
    used = axes[:components][spread[:components] > 1e-9 * max(float(spread.max(initial=0)), 1e-300)]
    shifts = tuple(ks_test(((x - middle) @ axis).tolist(), ((y - middle) @ axis).tolist()) for axis in used)
    share = spread**2 / max(float((spread**2).sum()), 1e-300)
    adjusted = holm_adjusted([1.0 if shift.p is None else shift.p for shift in shifts])
    return ComponentShift(shifts, tuple(adjusted), tuple(share[: len(used)].tolist()))


def chi2_test(reference: Sequence[str], new: Sequence[str], seed: int = 0) -> Shift:
    """Pearson's χ² test of a category (vendor, sex, protocol); by permutation if an expected count is below five.

    Args:
        reference: The category of each reference case.
        new: The category of each new case.
        seed: Seed of the permutations.

    Returns:
        The test; without a p value, but with a note, where there is nothing to compare.
    """
    names = sorted(set(reference) | set(new))
    sides = Counter(reference), Counter(new)
    if not reference or not new or len(names) < 2:
        why = "one side has no values" if not reference or not new else "only one category"
        return Shift(None, None, len(reference), len(new), "none", why)
    table = np.array([[side[name] for name in names] for side in sides])
    rare = stats.contingency.expected_freq(table).min() < 5
    permutation = stats.PermutationMethod(n_resamples=9999, rng=np.random.default_rng(seed)) if rare else None
    test = stats.chi2_contingency(table, correction=False, method=permutation)
    method = "χ², permuted" if rare else "χ²"
    return Shift(float(test.statistic), float(test.pvalue), len(reference), len(new), method)


def psi(reference_counts: Sequence[float], new_counts: Sequence[float]) -> float:
    """Population stability index Σ (new − reference) ln(new / reference) over the shares of bins.

    Args:
        reference_counts: Counts of the reference in each bin.
        new_counts: Counts of the new data in the same bins.

    Returns:
        The index, 0 for equal shares.

    Raises:
        ValueError: For different numbers of bins, or a side without counts.
    """
    e, a = (as_finite(counts) for counts in (reference_counts, new_counts))
    if e.shape != a.shape or e.sum() <= 0 or a.sum() <= 0:
        raise ValueError("a PSI needs the same bins on both sides, and something in them")
    e, a = (np.maximum(side / side.sum(), LEAST_SHARE) for side in (e, a))
    return float(((a - e) * np.log(a / e)).sum())


def psi_of_values(reference: Sequence[float], new: Sequence[float], bins: int = 10) -> float | None:
    """PSI of a number with bins between the reference's quantiles.

    Returns:
        The index, or None if one side is empty or the reference is constant.

    Args:
        reference: Values of the reference.
        new: Values of the new data.
        bins: Number of bins, of equal counts in the reference.
    """
    x, y = as_finite(reference), as_finite(new)
    (x, y), _ = scale_to_ordinary(x, y)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1])) if x.size else x
    if not y.size or not edges.size or np.ptp(x) == 0:
        return None
    counted = (np.bincount(np.searchsorted(edges, side, side="right"), minlength=len(edges) + 1) for side in (x, y))
    return psi(*(side.tolist() for side in counted))


def _unbiased(kernel: np.ndarray, first: np.ndarray) -> float:
    """Unbiased MMD² of a kernel with a diagonal of ones; `first` marks the samples of the first group."""
    n, m = int(first.sum()), int((~first).sum())
    member = first.astype(np.float64)
    toward = kernel @ member
    inner, cross = float(member @ toward), float((1 - member) @ toward)
    outer = float(kernel.sum()) - inner - 2 * cross
    return (inner - n) / (n * (n - 1)) + (outer - m) / (m * (m - 1)) - 2 * cross / (n * m)
