"""Trivial: what needs no learning: a threshold, and where the structure usually is. Every table shows them.

Each baseline is a family of rules, and a structure's row is that of the rule that does best on the test cases, chosen
in hindsight with their labels. That flatters the baseline, never the method it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from xmed.prepare import Sample
from xmed.tasks import largest_components

ATLAS = 48
"""Voxels per edge of the frame in which source masks are averaged: the field of view's box, whatever its size."""


def thresholds(seen: Sample, value: int, share: float) -> Iterator[tuple[str, np.ndarray]]:
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


def positions(seen: Sample, value: int, atlas: np.ndarray, share: float) -> Iterator[tuple[str, np.ndarray]]:
    """(rule, label map) of each way to place the mean source mask into the field of view's bounding box."""
    low, high = _box(seen.fov)
    placed = np.zeros(seen.image.shape, dtype=np.float32)
    box = tuple(slice(a, b) for a, b in zip(low, high))
    placed[box] = _resize(atlas, tuple(high - low))
    placed[~seen.fov] = 0
    cuts = {"mean mask > 0.5": 0.5, "mean mask, expected size": float(np.quantile(placed[seen.fov], 1 - share))}
    for name, cut in cuts.items():
        yield name, (placed > max(cut, 1e-6)).astype(np.uint8) * value


def atlases(source: Sequence[Sample], values: Sequence[int]) -> dict[int, tuple[np.ndarray, float]]:
    """Per value: the mean source mask in its field of view's box (ATLAS³) and the mean share of the field it takes."""
    out = {}
    for value in values:
        masks, shares = [], []
        for s in source:
            low, high = _box(s.fov)
            box = tuple(slice(a, b) for a, b in zip(low, high))
            mask = s.label == value  # type: ignore[operator]
            masks.append(_resize(mask[box].astype(np.float32), (ATLAS,) * 3))
            shares.append(mask.sum() / s.fov.sum())
        out[value] = (np.mean(masks, axis=0), float(np.mean(shares)))
    return out


def _box(fov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = np.argwhere(fov)
    return found.min(0), found.max(0) + 1


def _resize(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear resampling of a box to another number of voxels, edges on edges."""
    ratio = np.array(array.shape) / np.array(shape)
    return ndimage.affine_transform(array, ratio, (ratio - 1) / 2, shape, order=1, mode="nearest")
