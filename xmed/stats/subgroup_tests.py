"""Subgroup tests: does a model serve some patients worse, without saying who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xmed.stats.interval import RESAMPLES, Interval, finite, mean_ci, ordinary, rescaled, scaled

INFER_FROM = 5
"""Fewer patients: their mean is shown without limits and tested against nothing."""
SHOW_FROM = 3
"""Fewer patients: nothing of them is shown, a mean of two says what each of them is."""


@dataclass(frozen=True)
class Level:
    """One level of a subgroup. `suppressed`: "display" (too few), "complement" (would give one away by subtraction),
    "inference" (shown without limits), or None."""

    name: str
    n: int | None
    mean: Interval | None
    suppressed: str | None = None


@dataclass(frozen=True)
class Subgroups:
    """Every level of a subgroup variable, the worst and the best, how far they are apart, and whether levels differ."""

    levels: tuple[Level, ...]
    n: int
    n_unknown: int
    worst: str | None
    best: str | None
    gap: Interval
    p_interaction: float | None
    note: str | None = None


def subgroups(
    values: Mapping[str, float],
    level_of: Mapping[str, str | None],
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    seed: int = 0,
) -> Subgroups:
    """Per-patient values (a metric, or the gain of one arm over another) by the level of each, None where unknown.

    gap: best minus worst, with limits that allow for having picked the two (Games & Howell, J Educ Stat 1976).
    p_interaction: whether the levels' means differ at all, from permutations of who belongs where. With the gain of an
    arm as value that is the interaction of arm and subgroup. Levels of fewer than five patients take no part in either,
    nor does one that is hidden beside them.
    """
    found: dict[str, list[float]] = {}
    known = [patient for patient in sorted(values) if level_of.get(patient) is not None]
    for patient in known:
        found.setdefault(str(level_of[patient]), []).append(values[patient])
    groups = {name: finite(found[name]) for name in sorted(found)}
    levels = _levels(groups, level, seed)
    arrays, by = ordinary(*groups.values())
    groups = dict(zip(groups, arrays))
    tested = {one.name: groups[one.name] for one in levels if one.suppressed is None}
    means = {name: float(x.mean()) * (1 if higher_is_better else -1) for name, x in tested.items()}
    worst, best = (min(means, key=means.__getitem__), max(means, key=means.__getitem__)) if means else (None, None)
    sure = len(tested) > 1
    return Subgroups(
        levels,
        len(known),
        len(values) - len(known),
        worst if sure else None,
        best if sure else None,
        rescaled(_gap(tested, best, worst, level), by) if sure else _no_gap(len(known)),
        _interaction(list(tested.values()), seed) if sure else None,
        None if sure else f"fewer than two levels with {INFER_FROM} patients",
    )


def tertiles(values: Mapping[str, float]) -> dict[str, str]:
    """Every patient as small, middle or large by a number (the structure's volume); equal numbers stay together."""
    cut = np.quantile(finite(list(values.values())), (1 / 3, 2 / 3)) if values else (0.0, 0.0)
    return {p: "small" if v <= cut[0] else "middle" if v <= cut[1] else "large" for p, v in values.items()}


def _levels(groups: dict[str, np.ndarray], level: float, seed: int) -> tuple[Level, ...]:
    hidden = {name for name, x in groups.items() if x.size < SHOW_FROM}
    rest = [name for name in groups if name not in hidden]
    beside = None
    if hidden and rest and sum(groups[name].size for name in hidden) < SHOW_FROM:
        # the mean of all patients minus the shown levels would give the hidden ones: hide the next smallest too
        beside = min(rest, key=lambda name: (groups[name].size, name))
    out = []
    for name, x in groups.items():
        if name in hidden or name == beside:
            out.append(Level(name, None, None, "complement" if name == beside else "display"))
        elif x.size < INFER_FROM:
            (kept,), by = ordinary(x)
            value = scaled(float(kept.mean()), by)
            mean = Interval(value, None, None, int(x.size), "none", f"fewer than {INFER_FROM} patients")
            out.append(Level(name, int(x.size), mean, "inference"))
        else:
            out.append(Level(name, int(x.size), mean_ci(x.tolist(), level, seed)))
    return tuple(out)


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
        return (sums**2 / sizes).sum(1)

    random = np.random.default_rng(seed)
    drawn = between(random.permuted(np.broadcast_to(x, (RESAMPLES, x.size)), axis=1))
    seen = between(x[None])[0] * (1 - 1e-12)  # sums in another order differ in their last digits
    return float((1 + (drawn >= seen).sum()) / (1 + RESAMPLES))
