"""Likeness: whether two images are nearly the same: small pictures of volumes, correlated."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from xmed.atomic import write_atomically
from xmed.cohort.case import Case, Cohort
from xmed.volume import Volume

EDGE = 16
LIMIT = 0.99
"""Correlation from which two images are called near duplicates."""


def thumbnail(volume: Volume) -> np.ndarray:
    """A volume as EDGE³ block means, zero mean and unit norm: what survives rescaling, noise and lossy compression.

    float64 (EDGE³,). Axes of fewer voxels repeat them; outside the field of view counts as its darkest value.
    """
    array = volume.array
    if volume.fov is not None:
        array = np.where(volume.fov, array, array[volume.fov].min() if volume.fov.any() else 0)
    small: np.ndarray = np.asarray(array, dtype=np.float32)
    for axis, n in enumerate(array.shape):
        starts = (np.arange(EDGE) * n) // EDGE
        if n >= EDGE:
            counts = np.diff([*starts, n]).reshape([-1 if a == axis else 1 for a in range(3)])
            small = np.add.reduceat(small, starts, axis=axis) / counts
        else:
            small = np.take(small, starts, axis=axis)
    flat = np.asarray(small, dtype=np.float64).ravel()
    flat = flat - flat.mean()
    norm = float(np.linalg.norm(flat))
    return flat / norm if norm > 0 else flat


def likeness(cohort: Cohort, case: Case) -> np.ndarray:
    """The thumbnail of a case's image, kept below the store's home: reading every voxel again would take longer."""
    path = cohort.home / "store" / "likeness" / f"{case.image}.npy"
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError):  # not there yet, or cut short
        found = thumbnail(cohort.image(case))
        content = io.BytesIO()
        np.save(content, found, allow_pickle=False)
        write_atomically(path, content.getvalue())
        return found


def closest(learned: Sequence[np.ndarray], tested: Sequence[np.ndarray]) -> np.ndarray:
    """Correlations (tested, learned) of thumbnails."""
    if not learned or not tested:
        return np.zeros((len(tested), len(learned)))
    return np.clip(np.stack(tested) @ np.stack(learned).T, -1, 1)
