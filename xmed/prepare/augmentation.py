"""Augmentation: how far a patch may be changed at random, by modality and structures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from xmed.prepare.geometry import PROBE_MODALITIES


@dataclass(frozen=True)
class Augmentation:
    """The largest random changes of a patch.

    Attributes:
        rotation: Angle in radians, in the plane of i and j; half of it in the other planes.
        scale: Logarithm of the scale factor.
        shift: Shift as a share of the patch's half-width.
        flips: Whether the patch may be mirrored along i, j, k.
        gain: Standard deviation of the relative intensity gain.
        offset: Standard deviation of the intensity offset, in units of the normalised intensity.
        noise: Largest standard deviation of Gaussian noise, in units of the normalised intensity.
    """

    rotation: float = 0.5
    scale: float = 0.2
    shift: float = 0.15
    flips: tuple[bool, bool, bool] = (True, True, True)
    gain: float = 0.2
    offset: float = 0.2
    noise: float = 0.1


def augmentation_for(modality: str, structures: Sequence[str]) -> Augmentation:
    """Choose the augmentation that keeps images of a modality plausible and the names of structures correct.

    Ultrasound is never flipped in depth, because attenuation and shadows have a direction. If a structure's name
    contains left or right, axis i is not mirrored, and in ultrasound no axis is.

    Args:
        modality: DICOM modality.
        structures: Names of the structures.

    Returns:
        The largest random changes.
    """
    sided = any({"left", "right"} & set(re.split(r"[\W_]+", name.lower())) for name in structures)
    if modality in PROBE_MODALITIES:
        return Augmentation(rotation=0.3, scale=0.25, shift=0.2, flips=(not sided, False, not sided))
    return Augmentation(flips=(not sided, True, True))
