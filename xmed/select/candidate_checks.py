"""Checks that a candidate must pass. Each gives a value, its limit and whether it passed."""

from __future__ import annotations

from collections.abc import Sequence

from xmed.records.selection import CheckedLimit

CONSISTENCY_DROP = 0.12
"""Largest allowed drop of consistency. On phantoms of other seeds self-training raised mean Dice by 0.01 to 0.10 in
five of six runs, while consistency fell by 0.06 and 0.11 in two of these five (LOG.md). A collapse loses most of it. A
limit of 0.02 held good models back.
"""
EMPTY_SHARE = 0.34
"""Largest allowed share of target volumes without the structure, or as many as with the compared model where that is
more.
"""
PRIOR_FACTOR = 2.0
"""Factor by which a median volume may lie outside the range of labelled source cases, on either side."""


def at_least(value: float, limit: float) -> CheckedLimit:
    """Check that a value is at least `limit`."""
    return CheckedLimit(value=value, limit=limit, ok=bool(value >= limit))


def at_most(value: float, limit: float) -> CheckedLimit:
    """Check that a value is at most `limit`."""
    return CheckedLimit(value=value, limit=limit, ok=bool(value <= limit))


def of_structures(
    empty: Sequence[float], volume_ml: Sequence[float], first: Sequence[float], source_ml: Sequence[Sequence[float]]
) -> dict[str, CheckedLimit]:
    """Check that no structure vanishes or grows far too large.

    Args:
        empty: Per structure, share of target volumes in which it is not predicted.
        volume_ml: Per structure, median predicted volume in ml.
        first: `empty` of the model that is compared with.
        source_ml: Per structure, its volumes in ml in labelled source cases.
    """
    out = {}
    for n, labelled_ml in enumerate(source_ml):
        low, high, ml = min(labelled_ml) / PRIOR_FACTOR, max(labelled_ml) * PRIOR_FACTOR, volume_ml[n]
        out[f"empty_share_{n + 1}"] = at_most(empty[n], max(EMPTY_SHARE, first[n]))
        out[f"volume_ml_{n + 1}"] = at_most(ml, high) if ml > high else at_least(ml, low)
    return out
