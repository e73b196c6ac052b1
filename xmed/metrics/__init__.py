"""Metrics: pure functions from masks and probabilities to numbers."""

from xmed.metrics.calibration import Calibration, calibration, region
from xmed.metrics.confidence import pairwise_dice, soft_dice_confidence
from xmed.metrics.conventions import BOTH_EMPTY, CONVENTIONS, CROSSCHECK, NO_MM, TRAPS
from xmed.metrics.masks import assd, components, dice, hd, hd95, measure, nsd, volume_ml

__all__ = [
    "BOTH_EMPTY",
    "CONVENTIONS",
    "CROSSCHECK",
    "NO_MM",
    "TRAPS",
    "Calibration",
    "assd",
    "calibration",
    "components",
    "dice",
    "hd",
    "hd95",
    "measure",
    "nsd",
    "pairwise_dice",
    "region",
    "soft_dice_confidence",
    "volume_ml",
]
