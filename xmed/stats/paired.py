"""Paired: the difference between two arms on the same patients, with its interval and two tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from xmed.stats.interval import (
    RESAMPLES,
    Interval,
    as_finite,
    bootstrap_ci,
    mean_ci,
    rescale_interval,
    scale_to_ordinary,
    t_ci,
)

EXACT_UP_TO = 16
"""Largest number of pairs for which all 2ⁿ sign flips are enumerated."""


@dataclass(frozen=True)
class Paired:
    """The mean difference of paired values, and two tests of the hypothesis that it is zero.

    Attributes:
        difference: Mean difference with its interval.
        p_sign_flip: Two-sided p value of the sign-flip permutation test.
        p_wilcoxon: Two-sided p value of the Wilcoxon signed-rank test.
        n_nonzero: Number of pairs that differ.
        smallest_p: The smallest p value that so many differing pairs can reach.
        note: What limits the tests, or None.
    """

    difference: Interval
    p_sign_flip: float | None
    p_wilcoxon: float | None
    n_nonzero: int
    smallest_p: float | None
    note: str | None


@dataclass(frozen=True)
class Sensitivity:
    """The same difference under three assumptions: normal distribution, bootstrap, and symmetry only."""

    t: Interval
    bootstrap: Interval
    p_t: float | None
    p_sign_flip: float | None
    p_wilcoxon: float | None
    note: str | None


def compare_paired(a: Sequence[float], b: Sequence[float], level: float = 0.95, seed: int = 0) -> Paired:
    """Compare two arms on the same patients.

    Args:
        a: Values of the first arm, one per patient.
        b: Values of the second arm, same patients in the same order; the difference is a − b.
        level: Confidence level.
        seed: Seed of bootstrap and permutations.

    Returns:
        The difference with its interval, and both tests; no p value, but a note, where no pair differs.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    d, by = paired_differences(a, b)
    n_nonzero = int((d != 0).sum())
    difference = rescale_interval(mean_ci(d.tolist(), level, seed), by)
    if n_nonzero == 0:
        return Paired(difference, None, None, 0, None, "no pair differs" if d.size else "no pair")
    least = 2.0 ** (1 - n_nonzero)
    note = None if least <= 1 - level else f"cannot reach p = {1 - level:.2f} with {n_nonzero} differing pairs"
    wilcoxon = float(stats.wilcoxon(d[d != 0]).pvalue)
    return Paired(difference, _sign_flip(d, seed), wilcoxon, n_nonzero, least, note)


def paired_sensitivity(a: Sequence[float], b: Sequence[float], level: float = 0.95, seed: int = 0) -> Sensitivity:
    """Compare two arms by t-interval, bootstrap and permutation, to show whether the assumptions matter.

    Args:
        a: Values of the first arm, one per patient.
        b: Values of the second arm, same patients in the same order; the difference is a − b.
        level: Confidence level.
        seed: Seed of bootstrap and permutations.

    Returns:
        Both intervals and the p values of all tests.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    d, by = paired_differences(a, b)
    tests = compare_paired(a, b, level, seed)
    spread = d.size > 1 and np.ptp(d) > 0
    p_t = float(stats.ttest_1samp(d, 0.0).pvalue) if spread else None
    t, drawn = (
        rescale_interval(interval, by) for interval in (t_ci(d.tolist(), level), bootstrap_ci(d.tolist(), level, seed))
    )
    return Sensitivity(t, drawn, p_t, tests.p_sign_flip, tests.p_wilcoxon, tests.note)


def paired_differences(a: Sequence[float], b: Sequence[float]) -> tuple[np.ndarray, int]:
    """The differences a − b (n,) divided by 2^e, and e (see `scale_to_ordinary`).

    Raises:
        ValueError: Unless both are lists of finite numbers of the same length.
    """
    x, y = as_finite(a), as_finite(b)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"pairs need two equally long lists, not {x.shape} and {y.shape}")
    (x, y), by = scale_to_ordinary(x, y)
    (d,), more = scale_to_ordinary(x - y)  # differences of similar values may be far smaller than the values
    return d, by + more


def _sign_flip(d: np.ndarray, seed: int) -> float:
    """Two-sided p value of mean(d) under random signs; exact up to `EXACT_UP_TO` pairs."""
    observed = abs(d.sum()) - 1e-12 * np.abs(d).sum()  # the last digits depend on the order of a sum
    if d.size <= EXACT_UP_TO:
        flips = np.array(list(product((1.0, -1.0), repeat=d.size)))
        return float((np.abs(flips @ d) >= observed).mean())
    flips = np.random.default_rng(seed).choice((1.0, -1.0), size=(RESAMPLES, d.size))
    return float((1 + (np.abs(flips @ d) >= observed).sum()) / (1 + RESAMPLES))
