"""Trivial masks: masks without learning: by intensity, or where a structure usually lies; each a family of rules."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from xmed.prepare import Sample
from xmed.tasks.location_prior import MeanMask
from xmed.tasks.segmentation import largest_components


def threshold_masks(seen: Sample, value: int, share: float) -> Iterator[tuple[str, np.ndarray]]:
    """(rule, label map) of each way to find one structure by intensity: bright or dark, by Otsu or by expected size.

    share: of the field of view that the structure takes in the source.
    """
    inside = seen.image[seen.fov]
    smooth = ndimage.gaussian_filter(seen.image, 0.7)
    cuts = {"otsu": (threshold_otsu(inside),) * 2, "size": tuple(np.quantile(smooth[seen.fov], (1 - share, share)))}
    for name, (above, below) in cuts.items():
        image = seen.image if name == "otsu" else smooth
        for way, mask in (("bright", image > above), ("dark", image < below)):
            yield f"{name}, {way}, largest component", largest_components((mask & seen.fov).astype(np.uint8)) * value


def position_masks(seen: Sample, value: int, usually: MeanMask) -> Iterator[tuple[str, np.ndarray]]:
    """(rule, label map) of each way to place the mean source mask into the field of view's bounding box."""
    for name, cut in {"mean mask > 0.5": 0.5, "mean mask, expected size": None}.items():
        yield name, usually.mask_in(seen.fov, cut).astype(np.uint8) * value
