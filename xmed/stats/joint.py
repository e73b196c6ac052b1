"""Joint: several groups of measurements of the same patients, compared at once: has any of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from scipy.spatial.distance import pdist, squareform

from xmed.stats.interval import ordinary

LABELLINGS = 5000
"""How many ways to say who is new are looked at; where there are no more of them, every one is, and p is exact."""
AT_ONCE = 256
"""Labellings that are multiplied out together: enough for the processor, few enough for the memory."""
TIE = 1e-12
"""Statistics this close are the same: the order of a sum must not decide a test."""


@dataclass(frozen=True)
class GroupShift:
    """One group: MMD² with the kernel's width, its own p, and p adjusted for all groups; None where all are alike."""

    mmd2: float | None
    sigma: float | None
    p: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class JointShift:
    """p: of the whole; floor: the least that it could have been with so few patients. exact: no labelling was drawn."""

    groups: dict[str, GroupShift]
    p: float | None
    floor: float
    n_reference: int
    n_new: int
    labellings: int
    exact: bool


def joint_shift(
    reference: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray], labellings: int = LABELLINGS, seed: int = 0
) -> JointShift:
    """Groups of numbers, each (patients, d) on both sides, against the same patients relabelled at random.

    Each group gets the unbiased MMD² of `drift.mmd2` (columns scaled to unit spread over all patients, width the median
    distance between patients that differ). The least p of the groups is held against the least p of each relabelling
    (Westfall and Young 1993, step-down): whatever the groups have to do with each other, a shift is claimed where there
    is none with probability p at most. Raises ValueError for fewer than two patients on a side, or NaN.
    """
    n, m = (len(next(iter(side.values()))) for side in (reference, new))
    if n < 2 or m < 2:
        raise ValueError(f"{n} and {m} patients: two of each are the fewest that can be compared")
    kernels = {name: _kernel(np.concatenate([reference[name], new[name]]).astype(np.float64)) for name in reference}
    exact = comb(n + m, m) <= labellings
    members = _every(n, m) if exact else _drawn(n, m, labellings, seed)
    told = {name: found for name, found in kernels.items() if found is not None}
    # p[group, labelling]: how often a labelling comes out at least as far apart as this one, itself among them
    values = {name: _mmd2(kernel, members) for name, (kernel, _) in told.items()}
    p = {name: _share_above(found) for name, found in values.items()}
    adjusted = _step_down(p)
    groups = {
        name: GroupShift(float(values[name][0]), told[name][1], float(p[name][0]), adjusted[name])
        if name in told
        else GroupShift(None, None, None, None)
        for name in reference
    }
    whole = min(adjusted.values(), default=None)
    return JointShift(groups, whole, smallest_p(n, m, labellings), n, m, len(members), exact)


def smallest_p(n: int, m: int, labellings: int = LABELLINGS) -> float:
    """The least p that n and m patients allow; with as many on both sides, exchanging the sides gives the same MMD²."""
    every = comb(n + m, m)
    return (1 + (n == m)) / every if every <= labellings else 1 / labellings


def _kernel(rows: np.ndarray) -> tuple[np.ndarray, float] | None:
    """exp(−|x − y|² / 2σ²) between all patients, and σ; None where all are the same."""
    if not np.isfinite(rows).all():
        raise ValueError("measurements must be finite")
    rows = np.stack([ordinary(column)[0][0] for column in rows.T], 1) if rows.size else rows
    spread = rows.std(0)
    kept = spread > 1e-9 * np.maximum(np.abs(rows).max(0, initial=0.0), 1e-300)
    if not kept.any():
        return None
    apart = pdist(rows[:, kept] / spread[kept])
    # The median of all would be 0 wherever most patients share a scanner, and then nothing could ever be told apart.
    sigma = float(np.median(apart[apart > 0]))
    return squareform(np.exp(-(apart**2) / (2 * sigma**2))) + np.eye(len(rows)), sigma


def _every(n: int, m: int) -> np.ndarray:
    """Every way to call m of n + m patients new: bool (labellings, n + m), true for the old; the real one first."""
    chosen = np.array(list(combinations(range(n + m), n)))
    members = np.zeros((len(chosen), n + m), dtype=bool)
    members[np.arange(len(chosen))[:, None], chosen] = True
    return members


def _drawn(n: int, m: int, labellings: int, seed: int) -> np.ndarray:
    """So many of them at random, the real one first."""
    members = np.tile(np.arange(n + m) < n, (labellings, 1))
    members[1:] = np.random.default_rng(seed).permuted(members[1:], axis=1)
    return members


def _mmd2(kernel: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Unbiased MMD² (labellings,) of a kernel with a diagonal of ones."""
    n, m, total = int(members[0].sum()), int((~members[0]).sum()), float(kernel.sum())
    out = []
    for start in range(0, len(members), AT_ONCE):
        one = members[start : start + AT_ONCE].astype(np.float64)
        toward = one @ kernel
        inner, row = (toward * one).sum(1), toward.sum(1)
        cross = row - inner
        outer = total - inner - 2 * cross
        out.append((inner - n) / (n * (n - 1)) + (outer - m) / (m * (m - 1)) - 2 * cross / (n * m))
    return np.concatenate(out)


def _share_above(values: np.ndarray) -> np.ndarray:
    """For each value the share of all that are at least as large."""
    ordered = np.sort(values)
    return (len(values) - np.searchsorted(ordered, values - TIE, side="left")) / len(values)


def _step_down(p: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Westfall and Young's adjusted p of each group from the p of every labelling, the first being what is so."""
    order = sorted(p, key=lambda name: float(p[name][0]))
    out: dict[str, float] = {}
    for rank, name in enumerate(order):
        least = np.min([p[other] for other in order[rank:]], axis=0)
        found = float((least <= p[name][0] + TIE).mean())
        out[name] = max([found, *out.values()])
    return out
