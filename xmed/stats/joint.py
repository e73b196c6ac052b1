"""Joint: tests whether any of several groups of measurements of the same patients has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from scipy.spatial.distance import pdist, squareform

from xmed.stats.interval import scale_to_ordinary

LABELLINGS = 5000
"""Number of relabellings of a permutation test; if there are no more than this, all are used and p is exact."""
AT_ONCE = 256
"""Relabellings per matrix product, which limits the memory."""
TIE = 1e-12
"""Statistics closer than this count as equal, because the order of a sum must not decide a test."""


@dataclass(frozen=True)
class GroupShift:
    """The test of one group of measurements; all None if all patients have the same values.

    Attributes:
        mmd2: Unbiased squared maximum mean discrepancy.
        sigma: Width of the Gaussian kernel.
        p: Permutation p value of this group.
        p_adjusted: P value adjusted for all groups.
    """

    mmd2: float | None
    sigma: float | None
    p: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class JointShift:
    """The joint test of all groups.

    Attributes:
        groups: Name of the group → its test.
        p: P value of the joint test, or None.
        floor: The smallest p value that is possible with so many patients.
        n_reference: Number of reference patients.
        n_new: Number of new patients.
        labellings: Number of relabellings.
        exact: Whether all relabellings were used.
    """

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
    """Test whether any of several groups of measurements differs between reference and new patients.

    Each group is tested by its unbiased MMD² (columns scaled to unit standard deviation over all patients; kernel width
    the median of the non-zero distances between patients). The smallest p value is compared with the smallest p value
    of each relabelling, which controls the family-wise error rate for any dependence between the groups.

    Source: Gretton et al., JMLR 2012 (MMD); Westfall & Young, Resampling-based multiple testing, 1993 (step-down minP).

    Args:
        reference: Group → measurements (patients, d) of the reference.
        new: Group → measurements (patients, d) of the new data.
        labellings: Number of relabellings.
        seed: Seed of the relabellings.

    Returns:
        The joint test, and the test of each group.

    Raises:
        ValueError: For fewer than two patients on a side, NaN or infinite values.
    """
    n, m = (len(next(iter(side.values()))) for side in (reference, new))
    if n < 2 or m < 2:
        raise ValueError(f"{n} and {m} patients: two of each are the fewest that can be compared")
    kernels = {name: _kernel(np.concatenate([reference[name], new[name]]).astype(np.float64)) for name in reference}
    exact = comb(n + m, m) <= labellings
    members = _every(n, m) if exact else _drawn(n, m, labellings, seed)
    varying = {name: kernel for name, kernel in kernels.items() if kernel is not None}
    # p[group][labelling]: the share of labellings, itself included, with an MMD² at least as large
    values = {name: _mmd2(kernel, members) for name, (kernel, _) in varying.items()}
    p = {name: _share_above(mmd2) for name, mmd2 in values.items()}
    adjusted = _step_down(p)
    groups = {
        name: GroupShift(float(values[name][0]), varying[name][1], float(p[name][0]), adjusted[name])
        if name in varying
        else GroupShift(None, None, None, None)
        for name in reference
    }
    whole = min(adjusted.values(), default=None)
    return JointShift(groups, whole, smallest_p(n, m, labellings), n, m, len(members), exact)


def smallest_p(n: int, m: int, labellings: int = LABELLINGS) -> float:
    """The smallest possible p value for n and m patients.

    If n = m, exchanging the sides gives the same MMD², so that two relabellings tie.

    Args:
        n: Number of reference patients.
        m: Number of new patients.
        labellings: Number of relabellings of the test.

    Returns:
        The p value.
    """
    every = comb(n + m, m)
    return (1 + (n == m)) / every if every <= labellings else 1 / labellings


def _kernel(rows: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The kernel exp(−|x − y|² / 2σ²) between all patients, and σ; None if all patients are equal."""
    if not np.isfinite(rows).all():
        raise ValueError("measurements must be finite")
    rows = np.stack([scale_to_ordinary(column)[0][0] for column in rows.T], 1) if rows.size else rows
    spread = rows.std(0)
    varying = spread > 1e-9 * np.maximum(np.abs(rows).max(0, initial=0.0), 1e-300)
    if not varying.any():
        return None
    apart = pdist(rows[:, varying] / spread[varying])
    # The median of all distances would be 0 if most patients share a value, such as the scanner.
    sigma = float(np.median(apart[apart > 0]))
    return squareform(np.exp(-(apart**2) / (2 * sigma**2))) + np.eye(len(rows)), sigma


def _every(n: int, m: int) -> np.ndarray:
    """All relabellings, bool (labellings, n + m), True for reference patients; the actual one is first."""
    chosen = np.array(list(combinations(range(n + m), n)))
    members = np.zeros((len(chosen), n + m), dtype=bool)
    members[np.arange(len(chosen))[:, None], chosen] = True
    return members


def _drawn(n: int, m: int, labellings: int, seed: int) -> np.ndarray:
    """Random relabellings; the actual one is first."""
    members = np.tile(np.arange(n + m) < n, (labellings, 1))
    members[1:] = np.random.default_rng(seed).permuted(members[1:], axis=1)
    return members


def _mmd2(kernel: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Unbiased MMD² (labellings,) of a kernel with a diagonal of ones."""
    n, m, total = int(members[0].sum()), int((~members[0]).sum()), float(kernel.sum())
    chunks = []
    for start in range(0, len(members), AT_ONCE):
        first = members[start : start + AT_ONCE].astype(np.float64)
        toward = first @ kernel
        inner, row = (toward * first).sum(1), toward.sum(1)
        cross = row - inner
        outer = total - inner - 2 * cross
        chunks.append((inner - n) / (n * (n - 1)) + (outer - m) / (m * (m - 1)) - 2 * cross / (n * m))
    return np.concatenate(chunks)


def _share_above(values: np.ndarray) -> np.ndarray:
    """For each value the share of values that are at least as large."""
    ordered = np.sort(values)
    return (len(values) - np.searchsorted(ordered, values - TIE, side="left")) / len(values)


def _step_down(p: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Adjusted p value of each group (Westfall & Young, step-down minP) from the p values of every relabelling."""
    order = sorted(p, key=lambda name: float(p[name][0]))
    adjusted: dict[str, float] = {}
    for rank, name in enumerate(order):
        least = np.min([p[other] for other in order[rank:]], axis=0)
        share = float((least <= p[name][0] + TIE).mean())
        adjusted[name] = max([share, *adjusted.values()])
    return adjusted
