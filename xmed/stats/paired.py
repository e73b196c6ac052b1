"""Paired: two arms on the same patients, the difference first, then tests that it is not chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from xmed.stats.interval import RESAMPLES, Interval, bootstrap_ci, finite, mean_ci, ordinary, rescaled, t_ci

EXACT_UP_TO = 16
"""Pairs up to which all 2ⁿ sign flips are enumerated."""


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
class Sensitivity:
    """The same difference under three assumptions: normal, resampled, and none but symmetry."""

    t: Interval
    bootstrap: Interval
    p_t: float | None
    p_sign_flip: float | None
    p_wilcoxon: float | None
    note: str | None


def paired(a: Sequence[float], b: Sequence[float], level: float = 0.95, seed: int = 0) -> Paired:
    """`a` − `b` over the same patients in the same order: effect and interval first, then the two tests.

    `smallest_p` is what this many differing pairs could reach at best: five cannot reach 0.05 however clear they are.
    """
    d, by = differences(a, b)
    n_nonzero = int((d != 0).sum())
    difference = rescaled(mean_ci(d.tolist(), level, seed), by)
    if n_nonzero == 0:
        return Paired(difference, None, None, 0, None, "no pair differs" if d.size else "no pair")
    least = 2.0 ** (1 - n_nonzero)
    note = None if least <= 1 - level else f"cannot reach p = {1 - level:.2f} with {n_nonzero} differing pairs"
    wilcoxon = float(stats.wilcoxon(d[d != 0]).pvalue)
    return Paired(difference, _sign_flip(d, seed), wilcoxon, n_nonzero, least, note)


def sensitivity(a: Sequence[float], b: Sequence[float], level: float = 0.95, seed: int = 0) -> Sensitivity:
    """Whether the answer of `paired` hangs on its assumptions: t, bootstrap and permutation side by side."""
    d, by = differences(a, b)
    found = paired(a, b, level, seed)
    spread = d.size > 1 and np.ptp(d) > 0
    p_t = float(stats.ttest_1samp(d, 0.0).pvalue) if spread else None
    t, drawn = (rescaled(way, by) for way in (t_ci(d.tolist(), level), bootstrap_ci(d.tolist(), level, seed)))
    return Sensitivity(t, drawn, p_t, found.p_sign_flip, found.p_wilcoxon, found.note)


def differences(a: Sequence[float], b: Sequence[float]) -> tuple[np.ndarray, int]:
    """`a` − `b` (n,) divided by 2^e, and e (see `ordinary`).

    Raises ValueError when they are not two equally long lists of finite numbers.
    """
    x, y = finite(a), finite(b)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"pairs need two equally long lists, not {x.shape} and {y.shape}")
    (x, y), by = ordinary(x, y)
    (d,), more = ordinary(x - y)  # differences of values that are nearly the same may be far smaller than they are
    return d, by + more


def _sign_flip(d: np.ndarray, seed: int) -> float:
    """Two-sided p of mean(d) when each pair's sign could as well be the other: exact up to 16 pairs."""
    seen = abs(d.sum()) - 1e-12 * np.abs(d).sum()  # sums in another order differ in their last digits
    if d.size <= EXACT_UP_TO:
        flips = np.array(list(product((1.0, -1.0), repeat=d.size)))
        return float((np.abs(flips @ d) >= seen).mean())
    flips = np.random.default_rng(seed).choice((1.0, -1.0), size=(RESAMPLES, d.size))
    return float((1 + (np.abs(flips @ d) >= seen).sum()) / (1 + RESAMPLES))
