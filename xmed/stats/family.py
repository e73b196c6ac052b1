"""Family: several p values that were looked at together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """P values adjusted for being one of a family, in the order given (Holm 1979, jstor 4615733)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    out = np.empty(len(p))
    out[order] = adjusted
    return out.tolist()
