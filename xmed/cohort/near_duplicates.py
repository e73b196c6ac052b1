"""Near duplicates: whether two images are nearly the same: small pictures of volumes, correlated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from xmed.cohort.case import Case, Cohort
from xmed.files.atomic import write_atomically
from xmed.volume import Volume

EDGE = 16
_SHA = 32
NEAR_DUPLICATE_CORRELATION = 0.99
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


def stored_thumbnail(cohort: Cohort, case: Case) -> np.ndarray:
    """The thumbnail of a case's image, kept below the store's home: reading every voxel again would take longer.

    It is kept behind its sha256; what does not have that any more is made anew.
    """
    path = cohort.home / "store" / "likeness" / f"{case.image}.thumb"
    with suppress(OSError):
        kept = path.read_bytes()
        if hashlib.sha256(f"{case.image}".encode() + kept[_SHA:]).digest() == kept[:_SHA]:
            return np.frombuffer(kept[_SHA:], dtype="<f8")
    found = thumbnail(cohort.image(case))
    content = found.astype("<f8").tobytes()
    write_atomically(path, hashlib.sha256(f"{case.image}".encode() + content).digest() + content)
    return found


def thumbnail_correlations(learned: Sequence[np.ndarray], tested: Sequence[np.ndarray]) -> np.ndarray:
    """Correlations (tested, learned) of thumbnails."""
    if not learned or not tested:
        return np.zeros((len(tested), len(learned)))
    return np.clip(np.stack(tested) @ np.stack(learned).T, -1, 1)
