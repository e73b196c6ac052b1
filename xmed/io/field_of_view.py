"""Field of view: where an ultrasound scanner saw anything, told from what it drew."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

MIN_PART_SHARE = 0.05
"""Parts smaller than this share of the largest one are writing or noise, not picture."""


def field_of_view(array: np.ndarray, *, moving: bool = False) -> np.ndarray:
    """The sector of an ultrasound image, bool (i, j, k).

    Outside the sector a picture holds its lowest value, always. Inside, an anechoic bladder or a shadow may be just as
    black, so a slice's sector is the convex hull of what is not black: holes and notches are inside. (For a curved
    array the hull adds the lens between arc and chord, about 2 % of the sector; losing a shadow would be worse.)

    array: (i, j, k), k the slices of a volume, or with `moving` the frames of a film, which share one sector.
    """
    drawn = array > array.min()
    if moving:
        return np.repeat(_sector(drawn.any(axis=2))[:, :, np.newaxis], array.shape[2], axis=2)
    return np.stack([_sector(drawn[:, :, k]) for k in range(array.shape[2])], axis=2)


def _sector(drawn: np.ndarray) -> np.ndarray:
    """Convex hull (i, j) of the large parts of a mask; the mask itself when it is too thin to have one."""
    parts, count = ndimage.label(ndimage.binary_closing(np.pad(drawn, 2), iterations=2)[2:-2, 2:-2])
    if count == 0:
        return drawn
    sizes = np.bincount(parts.ravel())[1:]
    kept = np.isin(parts, 1 + np.flatnonzero(sizes >= MIN_PART_SHARE * sizes.max())) & drawn
    points = np.argwhere(kept ^ ndimage.binary_erosion(kept))  # the outline has the same hull and is far smaller
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        return kept
    inside = np.ones(drawn.shape, dtype=bool)
    i, j = np.ogrid[: drawn.shape[0], : drawn.shape[1]]
    for a, b, offset in hull.equations:
        inside &= a * i + b * j + offset <= 1e-6
    return inside
