"""Family: adjusts p values for multiple tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmed.stats.interval import as_finite


def holm_adjusted(p: Sequence[float]) -> list[float]:
    """Adjust p values for a family of tests by Holm's step-down method.

    Source: Holm, Scand J Stat 1979, jstor 4615733: the i-th smallest of m p values is multiplied by m − i + 1.

    Args:
        p: The p values.

    Returns:
        The adjusted p values in the same order.

    Raises:
        ValueError: For values outside 0 to 1.
    """
    x, order = as_finite(p), np.argsort(p, kind="stable")
    if x.size and not 0 <= x.min() <= x.max() <= 1:
        raise ValueError(f"p values lie between 0 and 1, not at {x.min():g} or {x.max():g}")
    adjusted = np.maximum.accumulate(x[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    in_given_order = np.empty(len(p))
    in_given_order[order] = adjusted
    return in_given_order.tolist()
