"""Intensity: normalises voxel values by one rule for all modalities and for rendered images."""

from __future__ import annotations

import numpy as np

SOFT_TISSUE_HU = (-160.0, 240.0)
"""Soft-tissue window of CT in Hounsfield units: centre 40, width 400."""
PERCENTILES = (1.0, 99.0)
"""Percentiles to which intensities without a window are clipped."""


def window_of(modality: str, window: tuple[float, float] | None = None) -> tuple[float, float] | None:
    """Choose the intensity window of a dataset.

    Args:
        modality: DICOM modality.
        window: Lower and upper limit that the spec gives.

    Returns:
        The spec's window, else the soft-tissue window for CT (HU), else None.
    """
    return window or (SOFT_TISSUE_HU if modality == "CT" else None)


def normalise(array: np.ndarray, inside: np.ndarray, window: tuple[float, float] | None = None) -> np.ndarray:
    """Clip intensities and scale them to zero mean and unit variance inside the field of view.

    Args:
        array: Intensities (i, j, k).
        inside: Field of view, bool (i, j, k).
        window: Lower and upper limit; None clips to `PERCENTILES` of the values inside the field of view.

    Returns:
        float32 (i, j, k), with the smallest value inside the field of view everywhere outside it; zeros for a constant
        volume.
    """
    values = array[inside] if inside.any() else array.ravel()
    low, high = window if window else np.percentile(values, PERCENTILES)
    clipped = np.clip(array, low, high, dtype=np.float32)
    values = np.clip(values, low, high, dtype=np.float32)
    normalised: np.ndarray = (clipped - values.mean()) / max(float(values.std()), 1e-6)
    normalised[~inside] = (values.min() - values.mean()) / max(float(values.std()), 1e-6)
    return normalised
