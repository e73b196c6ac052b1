"""Subgroup tests: compares subgroups of patients without revealing values of individual patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xmed.stats.interval import RESAMPLES, Interval, as_finite, mean_ci, rescale_interval, scale_back, scale_to_ordinary

INFER_FROM = 5
"""With fewer patients the mean is shown without limits and not tested."""
SHOW_FROM = 3
"""With fewer patients nothing is shown, because the mean of two reveals individual values."""


@dataclass(frozen=True)
class Level:
    """One level of a subgroup variable.

    Attributes:
        name: The level.
        n: Number of patients, or None if hidden.
        mean: Mean with its interval, or None if hidden.
        suppressed: "display" (hidden, too few patients), "complement" (hidden, because a hidden level could be computed
            by subtraction), "inference" (shown without limits), or None.
    """

    name: str
    n: int | None
    mean: Interval | None
    suppressed: str | None = None


@dataclass(frozen=True)
class Subgroups:
    """The comparison of all levels of a subgroup variable.

    Attributes:
        levels: The levels.
        n: Number of patients with a known level.
        n_unknown: Number of patients without one.
        worst: The level with the worst mean, or None.
        best: The level with the best mean, or None.
        gap: Best minus worst, with its interval.
        p_interaction: P value of the test that the means of the levels differ.
        note: Why there is no comparison, or None.
    """

    levels: tuple[Level, ...]
    n: int
    n_unknown: int
    worst: str | None
    best: str | None
    gap: Interval
    p_interaction: float | None
    note: str | None = None


def compare_subgroups(
    values: Mapping[str, float],
    level_of: Mapping[str, str | None],
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    seed: int = 0,
) -> Subgroups:
    """Compare the levels of a subgroup variable.

    The interval of the gap allows for the selection of the best and the worst level. `p_interaction` is a permutation
    test; with the gain of an arm as value it tests the interaction of arm and subgroup. Levels with fewer than
    `INFER_FROM` patients, and hidden ones, are not part of either.

    Source: Games & Howell, J Educ Stat 1976 (interval of the gap).

    Args:
        values: Patient → value: a metric, or the gain of one arm over another.
        level_of: Patient → level, None if unknown.
        higher_is_better: Whether larger values are better.
        level: Confidence level.
        seed: Seed of bootstrap and permutations.

    Returns:
        Every level with its mean, the gap between the best and the worst one, and the test.

    Raises:
        ValueError: For NaN or infinite values.
    """
    of_level: dict[str, list[float]] = {}
    with_level = [patient for patient in sorted(values) if level_of.get(patient) is not None]
    for patient in with_level:
        of_level.setdefault(str(level_of[patient]), []).append(values[patient])
    groups = {name: as_finite(of_level[name]) for name in sorted(of_level)}
    levels = _levels(groups, level, seed)
    arrays, by = scale_to_ordinary(*groups.values())
    groups = dict(zip(groups, arrays))
    tested = {entry.name: groups[entry.name] for entry in levels if entry.suppressed is None}
    means = {name: float(x.mean()) * (1 if higher_is_better else -1) for name, x in tested.items()}
    worst, best = (min(means, key=means.__getitem__), max(means, key=means.__getitem__)) if means else (None, None)
    comparable = len(tested) > 1
    return Subgroups(
        levels,
        len(with_level),
        len(values) - len(with_level),
        worst if comparable else None,
        best if comparable else None,
        rescale_interval(_gap(tested, best, worst, level), by) if comparable else _no_gap(len(with_level)),
        _interaction(list(tested.values()), seed) if comparable else None,
        None if comparable else f"fewer than two levels with {INFER_FROM} patients",
    )


def tertiles(values: Mapping[str, float]) -> dict[str, str]:
    """Divide patients into small, middle and large by a number, such as a structure's volume; ties stay together.

    Args:
        values: Patient → number.

    Returns:
        Patient → small, middle or large.
    """
    cut = np.quantile(as_finite(list(values.values())), (1 / 3, 2 / 3)) if values else (0.0, 0.0)
    return {p: "small" if v <= cut[0] else "middle" if v <= cut[1] else "large" for p, v in values.items()}


def _levels(groups: dict[str, np.ndarray], level: float, seed: int) -> tuple[Level, ...]:
    hidden = {name for name, x in groups.items() if x.size < SHOW_FROM}
    rest = [name for name in groups if name not in hidden]
    beside = None
    if hidden and rest and sum(groups[name].size for name in hidden) < SHOW_FROM:
        # Subtracting the shown levels from the mean of all would reveal the hidden ones: hide the next smallest too.
        beside = min(rest, key=lambda name: (groups[name].size, name))
    levels = []
    for name, x in groups.items():
        if name in hidden or name == beside:
            levels.append(Level(name, None, None, "complement" if name == beside else "display"))
        elif x.size < INFER_FROM:
            (scaled,), by = scale_to_ordinary(x)
            value = scale_back(float(scaled.mean()), by)
            mean = Interval(value, None, None, int(x.size), "none", f"fewer than {INFER_FROM} patients")
            levels.append(Level(name, int(x.size), mean, "inference"))
        else:
            levels.append(Level(name, int(x.size), mean_ci(x.tolist(), level, seed)))
    return tuple(levels)


def _gap(tested: dict[str, np.ndarray], best: str | None, worst: str | None, level: float) -> Interval:
    a, b = tested[str(best)], tested[str(worst)]
    n, apart = int(a.size + b.size), abs(float(a.mean() - b.mean()))
    va, vb = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    if va + vb == 0:
        return Interval(apart, apart, apart, n, "none", "no spread within the levels")
    freedom = (va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1))
    if len(tested) == 2:  # the same number, a thousand times as fast
        reach = float(stats.t.ppf((1 + level) / 2, freedom))
    else:
        reach = float(stats.studentized_range.ppf(level, len(tested), freedom)) / np.sqrt(2)
    half = float(reach * np.sqrt(va + vb))
    return Interval(apart, apart - half, apart + half, n, "Games–Howell")


def _no_gap(n: int) -> Interval:
    return Interval(None, None, None, n, "none", f"fewer than two levels with {INFER_FROM} patients")


def _interaction(groups: list[np.ndarray], seed: int) -> float | None:
    """Share of permutations whose between-level sum of squares is at least the one seen."""
    x = np.concatenate([np.sort(group) for group in groups])
    sizes = np.array([group.size for group in groups])
    if np.ptp(x) == 0:
        return None
    ends = np.cumsum(sizes)
    x = x - x.mean()

    def between(rows: np.ndarray) -> np.ndarray:
        sums = np.diff(np.cumsum(rows, axis=1)[:, ends - 1], axis=1, prepend=0.0)
        squares: np.ndarray = (sums**2 / sizes).sum(1)
        return squares

    random = np.random.default_rng(seed)
    drawn = between(random.permuted(np.broadcast_to(x, (RESAMPLES, x.size)), axis=1))
    observed = between(x[None])[0] * (1 - 1e-12)  # the last digits depend on the order of a sum
    return float((1 + (drawn >= observed).sum()) / (1 + RESAMPLES))
