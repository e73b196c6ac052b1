"""Statistics as JSON: results of xmed.stats with null, and a reason, in place of what cannot be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmed import stats

Document = dict[str, Any]


def limits(low: float | None, high: float | None) -> list[float] | None:
    """Return both limits of an interval, or None where it lacks one."""
    return None if low is None or high is None else [low, high]


def interval(result: stats.Interval) -> Document:
    """Return a mean with its interval: {value, ci, n, method, reason}."""
    ci = limits(result.lo, result.hi)
    return {"value": result.mean, "ci": ci, "n": result.n, "method": result.method, "reason": result.degenerate}


def proportion(result: stats.Proportion) -> Document:
    """Return a share with its exact limits (Clopper–Pearson): {value, ci, events, n}; null where n is 0."""
    ci = [result.lo, result.hi] if result.n else None
    return {"value": result.value, "ci": ci, "events": result.events, "n": result.n}


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[list[str], list[float], list[float]]:
    """Return the patients that both have, sorted, and the values of each."""
    shared = sorted(set(a) & set(b))
    return shared, [a[patient] for patient in shared], [b[patient] for patient in shared]


def difference(a: Mapping[str, float], b: Mapping[str, float]) -> Document:
    """Compare two arms over the patients that both have.

    Args:
        a: Patient -> value.
        b: Patient -> value.

    Returns:
        The mean of a − b as `interval` gives it, the p-values of both tests, and the smallest p that is possible.
    """
    _, x, y = paired(a, b)
    result = stats.compare_paired(x, y)
    return {
        **interval(result.difference),
        "p_sign_flip": result.p_sign_flip,
        "p_wilcoxon": result.p_wilcoxon,
        "n_nonzero": result.n_nonzero,
        "smallest_p": result.smallest_p,
        "note": result.note,
    }


def quantiles(
    values: Sequence[float], shares: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)
) -> dict[str, float] | None:
    """Return quantiles by linear interpolation, keyed by their share as text; None without values.

    Args:
        values: The values, in any order.
        shares: The shares, 0 to 1.

    Returns:
        Share as text → quantile; None without values.
    """
    if not values:
        return None
    ordered = sorted(values)
    out = {}
    for share in shares:
        position = share * (len(ordered) - 1)
        low = int(position)
        high = min(low + 1, len(ordered) - 1)
        out[f"{share:g}"] = ordered[low] + (position - low) * (ordered[high] - ordered[low])
    return out
