"""Proportion: a number of events among n cases with its exact interval."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Proportion:
    """A proportion with its exact interval.

    Attributes:
        value: events / n, or None without cases.
        lo: Lower limit of the two-sided interval.
        hi: Upper limit of the two-sided interval.
        events: Number of events.
        n: Number of cases.
        upper_one_sided: One-sided upper limit, for statements about safety.
    """

    value: float | None
    lo: float
    hi: float
    events: int
    n: int
    upper_one_sided: float


def proportion_interval(events: int, n: int, level: float = 0.95) -> Proportion:
    """The proportion of events with its exact interval.

    For 0 events in 20 cases the two-sided upper limit is .168 and the one-sided one .139.

    Args:
        events: Number of cases with the property.
        n: Number of cases.
        level: Confidence level.

    Returns:
        The proportion with both limits.
    """
    lo, hi = clopper_pearson(events, n, level)
    _, upper = clopper_pearson(events, n, 2 * level - 1)
    return Proportion(events / n if n else None, lo, hi, events, n, upper)


def clopper_pearson(events: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion; (0, 1) without cases.

    Source: Clopper & Pearson, Biometrika 1934.

    Args:
        events: Number of cases with the property.
        n: Number of cases.
        level: Confidence level.

    Returns:
        (low, high); (0, 1) without cases.
    """
    if n < 1:
        return 0.0, 1.0
    interval = stats.binomtest(events, n).proportion_ci(level, "exact")
    return float(interval.low), float(interval.high)
