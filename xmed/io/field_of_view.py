"""Find the field of view of an ultrasound image: the pixels in which the scanner drew an image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

MIN_PART_SHARE = 0.05
"""Connected parts smaller than this share of the largest part are text or noise, not image."""


def field_of_view(array: np.ndarray, *, moving: bool = False) -> np.ndarray:
    """Find the sector of an ultrasound image from its pixel values.

    Outside the sector every pixel has the lowest value. Inside, fluid or an acoustic shadow may be just as black. The
    sector of a slice is therefore the convex hull of all pixels above the lowest value, so that dark holes and notches
    stay inside. For a curved array the hull also contains the region between arc and chord, about 2 % of the sector;
    losing a shadow would be worse.

    Args:
        array: Image of shape (i, j, k). k counts the slices of a volume or the frames of a film.
        moving: Whether k is time. All frames of a film share one sector.

    Returns:
        Boolean mask of shape (i, j, k), true inside the sector.
    """
    drawn = array > array.min()
    if moving:
        return np.repeat(_sector(drawn.any(axis=2))[:, :, np.newaxis], array.shape[2], axis=2)
    return np.stack([_sector(drawn[:, :, k]) for k in range(array.shape[2])], axis=2)


def _sector(drawn: np.ndarray) -> np.ndarray:
    """Return the convex hull (i, j) of the large parts of a mask, or the mask itself if it is too thin for a hull."""
    parts, count = ndimage.label(ndimage.binary_closing(np.pad(drawn, 2), iterations=2)[2:-2, 2:-2])
    if count == 0:
        return drawn
    sizes = np.bincount(parts.ravel())[1:]
    large: np.ndarray = np.isin(parts, 1 + np.flatnonzero(sizes >= MIN_PART_SHARE * sizes.max())) & drawn
    points = np.argwhere(large ^ ndimage.binary_erosion(large))  # the outline has the same hull and fewer points
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        return large
    inside = np.ones(drawn.shape, dtype=bool)
    i, j = np.ogrid[: drawn.shape[0], : drawn.shape[1]]
    for a, b, offset in hull.equations:
        inside &= a * i + b * j + offset <= 1e-6
    return inside
