"""Gap: the share of the difference between no adaptation and target supervision that a method closes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmed.stats.interval import RESAMPLES, TOO_LARGE, Interval, as_finite, bootstrap_statistic, scale_to_ordinary


def gap_closed_interval(
    source_only: Sequence[float],
    adapted: Sequence[float],
    supervised: Sequence[float],
    *,
    least_gap: float = 0.02,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Compute (adapted − source_only) / (supervised − source_only) of the means, with its interval.

    The interval is a percentile bootstrap over patients. There is no value if supervision gains no more than
    `least_gap`, and no interval if that happens in more than 1 % of the resamples.

    Args:
        source_only: Values of the arm without adaptation, one per patient.
        adapted: Values of the adapted arm, same patients in the same order.
        supervised: Values of the arm with target labels, same patients in the same order.
        least_gap: The smallest gain of supervision that makes the ratio meaningful.
        level: Confidence level.
        seed: Seed of the bootstrap.

    Returns:
        The ratio and its interval; None with a reason where it cannot be computed.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    s, a, t = (as_finite(x) for x in (source_only, adapted, supervised))
    if not s.shape == a.shape == t.shape:
        raise ValueError("gap closed needs the same patients in all three arms")
    n = int(s.size)
    (s, a, t, least), by = scale_to_ordinary(s, a, t, np.array([least_gap]))
    if n == 0 or t.mean() - s.mean() <= least[0] + np.ldexp(1e-12, -by):
        why = "no patient in all three arms" if n == 0 else f"supervision gains no more than {least_gap:g}"
        return Interval(None, None, None, n, "none", why)
    closed = float((a.mean() - s.mean()) / (t.mean() - s.mean()))
    if not np.isfinite(closed):
        return Interval(None, None, None, n, "none", TOO_LARGE)
    if n == 1:
        return Interval(closed, None, None, 1, "none", "one patient has no interval")
    draws = bootstrap_statistic(
        n, seed, lambda pick: np.stack([a[pick].mean(1) - s[pick].mean(1), t[pick].mean(1) - s[pick].mean(1)])
    )
    gained, gap = draws[:, draws[1] > least[0]]
    if gap.size < 0.99 * RESAMPLES:
        return Interval(closed, None, None, n, "none", "the gap itself is not certain enough for an interval")
    lo, hi = np.quantile(gained / gap, [(1 - level) / 2, (1 + level) / 2])
    if not np.isfinite([lo, hi]).all():
        return Interval(closed, None, None, n, "none", TOO_LARGE)
    return Interval(closed, float(lo), float(hi), n, "patient bootstrap, percentile")
