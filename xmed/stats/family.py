"""Family: several p values that were looked at together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmed.stats.interval import finite


def holm(p: Sequence[float]) -> list[float]:
    """P values adjusted for being one of a family, in the order given (Holm 1979, jstor 4615733).

    Raises ValueError for what lies outside of 0 to 1, which is no p value.
    """
    x, order = finite(p), np.argsort(p, kind="stable")
    if x.size and not 0 <= x.min() <= x.max() <= 1:
        raise ValueError(f"p values lie between 0 and 1, not at {x.min():g} or {x.max():g}")
    adjusted = np.maximum.accumulate(x[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    out = np.empty(len(p))
    out[order] = adjusted
    return out.tolist()
