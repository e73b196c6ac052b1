"""The tissues of the phantom's body, and the segmented structure that each belongs to."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Tissue(IntEnum):
    """Every material of the body. Each scanner knows their physical properties, and nothing else of the anatomy."""

    AIR = 0
    SKIN = 1
    FAT = 2
    FASCIA = 3
    MUSCLE = 4
    PELVIC_FAT = 5
    BONE = 6
    MARROW = 7
    CARTILAGE = 8
    BLADDER_WALL = 9
    URINE = 10
    CAPSULE = 11
    PERIPHERAL_ZONE = 12
    TRANSITION_ZONE = 13
    SEMINAL_VESICLE = 14
    RECTAL_WALL = 15
    STOOL = 16
    RECTAL_GAS = 17
    BOWEL_WALL = 18
    BOWEL_FLUID = 19
    BOWEL_GAS = 20
    VESSEL = 21


PROSTATE, BLADDER, RECTUM = 1, 2, 3
"""Label values, as in the data specs of the phantom."""

_STRUCTURES = {
    PROSTATE: (Tissue.CAPSULE, Tissue.PERIPHERAL_ZONE, Tissue.TRANSITION_ZONE),
    BLADDER: (Tissue.BLADDER_WALL, Tissue.URINE),  # the organ: its wall is part of it
    RECTUM: (Tissue.RECTAL_WALL, Tissue.STOOL, Tissue.RECTAL_GAS),
}


def structure_labels(tissue: np.ndarray) -> np.ndarray:
    """Convert an array of tissues to label values, uint8 of the same shape."""
    table = np.zeros(len(Tissue), dtype=np.uint8)
    for value, members in _STRUCTURES.items():
        table[list(members)] = value
    label: np.ndarray = table[tissue]
    return label


def per_tissue(properties: dict[Tissue, float]) -> np.ndarray:
    """Return one property of every tissue, float32, to be indexed by tissue.

    Raises:
        KeyError: A tissue is missing.
    """
    return np.array([properties[tissue] for tissue in Tissue], dtype=np.float32)
