"""Proportion: so many of so many, and how many it may be in truth."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Proportion:
    """Events among n with the exact interval, and the one-sided upper limit that a safety statement needs."""

    value: float | None
    lo: float
    hi: float
    events: int
    n: int
    upper_one_sided: float


def proportion(events: int, n: int, level: float = 0.95) -> Proportion:
    """`events` of `n`. None has happened in 20: two-sided upper limit .168, one-sided .139."""
    lo, hi = clopper_pearson(events, n, level)
    _, upper = clopper_pearson(events, n, 2 * level - 1)
    return Proportion(events / n if n else None, lo, hi, events, n, upper)


def clopper_pearson(events: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion (Clopper & Pearson 1934): 0 of 20 is still up to 0.168."""
    if n < 1:
        return 0.0, 1.0
    found = stats.binomtest(events, n).proportion_ci(level, "exact")
    return float(found.low), float(found.high)
