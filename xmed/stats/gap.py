"""Gap: the share of the distance between no adaptation and target labels that a method closes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmed.stats.interval import RESAMPLES, TOO_LARGE, Interval, finite, ordinary, resampled


def gap_closed(
    source_only: Sequence[float],
    adapted: Sequence[float],
    supervised: Sequence[float],
    *,
    least_gap: float = 0.02,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """(adapted − source_only) / (supervised − source_only) of the means, with a percentile bootstrap over patients.

    The three lists run over the same patients. Not measurable, and flagged so, when supervision gains no more than
    `least_gap`; without interval when that happens in more than 1 % of the resamples.
    """
    s, a, t = (finite(x) for x in (source_only, adapted, supervised))
    if not s.shape == a.shape == t.shape:
        raise ValueError("gap closed needs the same patients in all three arms")
    n = int(s.size)
    (s, a, t, least), by = ordinary(s, a, t, np.array([least_gap]))
    if n == 0 or t.mean() - s.mean() <= least[0] + np.ldexp(1e-12, -by):
        why = "no patient in all three arms" if n == 0 else f"supervision gains no more than {least_gap:g}"
        return Interval(None, None, None, n, "none", why)
    closed = float((a.mean() - s.mean()) / (t.mean() - s.mean()))
    if not np.isfinite(closed):
        return Interval(None, None, None, n, "none", TOO_LARGE)
    if n == 1:
        return Interval(closed, None, None, 1, "none", "one patient has no interval")
    draws = resampled(
        n, seed, lambda pick: np.stack([a[pick].mean(1) - s[pick].mean(1), t[pick].mean(1) - s[pick].mean(1)])
    )
    gained, gap = draws[:, draws[1] > least[0]]
    if gap.size < 0.99 * RESAMPLES:
        return Interval(closed, None, None, n, "none", "the gap itself is not certain enough for an interval")
    lo, hi = np.quantile(gained / gap, [(1 - level) / 2, (1 + level) / 2])
    if not np.isfinite([lo, hi]).all():
        return Interval(closed, None, None, n, "none", TOO_LARGE)
    return Interval(closed, float(lo), float(hi), n, "patient bootstrap, percentile")
