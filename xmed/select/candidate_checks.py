"""Candidate checks: what a candidate must not do, each a value, its limit and whether it is kept."""

from __future__ import annotations

from collections.abc import Sequence

from xmed.records.selection import CheckedLimit

CONSISTENCY_DROP = 0.12
"""On phantoms of other seeds self-training raised mean Dice by 0.01 to 0.10 in five of six runs while consistency fell
by 0.06 and 0.11 in two of those five (LOG.md); a collapse loses most of it. A limit of 0.02 held good models back."""
EMPTY_SHARE = 0.34
"""Of the target's volumes, or as many as the reference leaves empty where that is more."""
PRIOR_FACTOR = 2.0
"""How far a median volume may leave the range of labelled source cases, on either side."""


def at_least(value: float, limit: float) -> CheckedLimit:
    return CheckedLimit(value=value, limit=limit, ok=bool(value >= limit))


def at_most(value: float, limit: float) -> CheckedLimit:
    return CheckedLimit(value=value, limit=limit, ok=bool(value <= limit))


def of_structures(
    empty: Sequence[float], volume_ml: Sequence[float], first: Sequence[float], source_ml: Sequence[Sequence[float]]
) -> dict[str, CheckedLimit]:
    """No structure vanishes or explodes. Per structure: share of target volumes without it (first: of the reference),
    median predicted volume, and the volumes of labelled source cases."""
    out = {}
    for n, known in enumerate(source_ml):
        low, high, ml = min(known) / PRIOR_FACTOR, max(known) * PRIOR_FACTOR, volume_ml[n]
        out[f"empty_share_{n + 1}"] = at_most(empty[n], max(EMPTY_SHARE, first[n]))
        out[f"volume_ml_{n + 1}"] = at_most(ml, high) if ml > high else at_least(ml, low)
    return out
