"""Intensity: raw voxel values → what every net sees, one rule for all modalities and for every rendering of them."""

from __future__ import annotations

import numpy as np

SOFT_TISSUE_HU = (-160.0, 240.0)
PERCENTILES = (1.0, 99.0)


def window_of(modality: str, window: tuple[float, float] | None = None) -> tuple[float, float] | None:
    """The window a dataset asks for; CT, whose values mean something, has a soft-tissue one by default."""
    return window or (SOFT_TISSUE_HU if modality == "CT" else None)


def normalise(array: np.ndarray, inside: np.ndarray, window: tuple[float, float] | None = None) -> np.ndarray:
    """Clip to `window` (or to the 1st and 99th percentile), then zero mean and unit variance, inside the field of view.

    array (i, j, k); inside bool (i, j, k). Outside the field of view stands the smallest value inside it.
    Returns float32 (i, j, k). A constant volume comes back as zeros.
    """
    seen = array[inside] if inside.any() else array.ravel()
    low, high = window if window else np.percentile(seen, PERCENTILES)
    clipped = np.clip(array, low, high, dtype=np.float32)
    seen = np.clip(seen, low, high, dtype=np.float32)
    out = (clipped - seen.mean()) / max(float(seen.std()), 1e-6)
    out[~inside] = (seen.min() - seen.mean()) / max(float(seen.std()), 1e-6)
    return out
