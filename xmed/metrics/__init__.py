"""Metrics: pure functions that compute numbers from masks and probabilities."""

from xmed.metrics.calibration import (
    Calibration,
    measure_calibration,
    pairwise_dice,
    scored_region,
    soft_dice_confidence,
)
from xmed.metrics.conventions import BOTH_EMPTY, CONVENTIONS, CROSSCHECK, NO_MM, TRAPS
from xmed.metrics.masks import assd, components, dice, hd, hd95, measure_structure, nsd, volume_ml

__all__ = [
    "BOTH_EMPTY",
    "CONVENTIONS",
    "CROSSCHECK",
    "NO_MM",
    "TRAPS",
    "Calibration",
    "assd",
    "components",
    "dice",
    "hd",
    "hd95",
    "measure_calibration",
    "measure_structure",
    "nsd",
    "pairwise_dice",
    "scored_region",
    "soft_dice_confidence",
    "volume_ml",
]
