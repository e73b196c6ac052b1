"""Metrics: pure functions from two masks to a number."""

from xmed.metrics.masks import (
    BOTH_EMPTY,
    CONVENTIONS,
    NO_MM,
    assd,
    components,
    dice,
    hd,
    hd95,
    measure,
    nsd,
    volume_ml,
)

__all__ = [
    "BOTH_EMPTY",
    "CONVENTIONS",
    "NO_MM",
    "assd",
    "components",
    "dice",
    "hd",
    "hd95",
    "measure",
    "nsd",
    "volume_ml",
]
