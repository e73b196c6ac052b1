"""Plain: results of xmed.stats as JSON, null with a reason in place of what cannot be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmed import stats

Document = dict[str, Any]


def span(lo: float | None, hi: float | None) -> list[float] | None:
    """Both ends of an interval, or None where it lacks one."""
    return None if lo is None or hi is None else [lo, hi]


def interval(found: stats.Interval) -> Document:
    """{value, ci, n, method, reason}."""
    ci = span(found.lo, found.hi)
    return {"value": found.mean, "ci": ci, "n": found.n, "method": found.method, "reason": found.degenerate}


def proportion(found: stats.Proportion) -> Document:
    """{value, ci, events, n}: exact limits (Clopper–Pearson); without cases there is no value."""
    ci = [found.lo, found.hi] if found.n else None
    return {"value": found.value, "ci": ci, "events": found.events, "n": found.n}


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[list[str], list[float], list[float]]:
    """The patients that both have, sorted, and the values of each."""
    shared = sorted(set(a) & set(b))
    return shared, [a[p] for p in shared], [b[p] for p in shared]


def difference(a: Mapping[str, float], b: Mapping[str, float]) -> Document:
    """a − b over the patients that both have: `interval`, the two tests, and what they could show at best."""
    _, x, y = paired(a, b)
    found = stats.compare_paired(x, y)
    return {
        **interval(found.difference),
        "p_sign_flip": found.p_sign_flip,
        "p_wilcoxon": found.p_wilcoxon,
        "n_nonzero": found.n_nonzero,
        "smallest_p": found.smallest_p,
        "note": found.note,
    }


def quantiles(values: Sequence[float], at: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> dict[str, float] | None:
    """Quantiles by linear interpolation, by their share as text; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    out = {}
    for share in at:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        out[f"{share:g}"] = ordered[low] + (place - low) * (ordered[high] - ordered[low])
    return out
