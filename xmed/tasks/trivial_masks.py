"""Masks without learning: by intensity, or by where a structure usually lies. Each is a family of rules."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from xmed.prepare import Sample
from xmed.tasks.location_prior import MeanMask
from xmed.tasks.segmentation import largest_components


def threshold_masks(case: Sample, value: int, share: float) -> Iterator[tuple[str, np.ndarray]]:
    """Find one structure by intensity, in several ways: bright or dark, by Otsu's threshold or by expected size.

    Args:
        case: An unlabelled case.
        value: Label value of the structure.
        share: Share of the field of view that the structure takes in the source.

    Yields:
        The rule in words, and its label map, uint8 (i, j, k).
    """
    inside = case.image[case.fov]
    smooth = ndimage.gaussian_filter(case.image, 0.7)
    otsu: float = threshold_otsu(inside)
    cuts = {"otsu": (otsu, otsu), "size": tuple(np.quantile(smooth[case.fov], (1 - share, share)))}
    for name, (above, below) in cuts.items():
        image = case.image if name == "otsu" else smooth
        for polarity, mask in (("bright", image > above), ("dark", image < below)):
            yield (
                f"{name}, {polarity}, largest component",
                largest_components((mask & case.fov).astype(np.uint8)) * value,
            )


def position_masks(case: Sample, value: int, mean_mask: MeanMask) -> Iterator[tuple[str, np.ndarray]]:
    """Place the mean source mask into the field of view's bounding box, in several ways.

    Args:
        case: An unlabelled case.
        value: Label value of the structure.
        mean_mask: Where the structure lies in labelled source cases.

    Yields:
        The rule in words, and its label map, uint8 (i, j, k).
    """
    for name, cut in {"mean mask > 0.5": 0.5, "mean mask, expected size": None}.items():
        yield name, mean_mask.mask_in(case.fov, cut).astype(np.uint8) * value
