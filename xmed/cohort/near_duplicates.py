"""Near duplicates: compares images by the correlation of small thumbnails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from xmed.cohort.case import Case, Cohort
from xmed.files.atomic import write_atomically
from xmed.home import Home
from xmed.volume import Volume

EDGE = 16
"""Voxels along each edge of a thumbnail."""
_SHA = 32
NEAR_DUPLICATE_CORRELATION = 0.99
"""Correlation from which on two images are reported as near duplicates."""


def thumbnail(volume: Volume) -> np.ndarray:
    """Reduce a volume to EDGE³ block means, which change little under rescaling, noise and lossy compression.

    An axis with fewer voxels repeats them. Voxels outside the field of view get the smallest value inside it.

    Returns:
        float64 (EDGE³,) with zero mean and unit norm; zeros for a constant volume.
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
    centred: np.ndarray = flat - flat.mean()
    norm = float(np.linalg.norm(centred))
    return centred / norm if norm > 0 else centred


def stored_thumbnail(cohort: Cohort, case: Case) -> np.ndarray:
    """The thumbnail of a case's image, float64 (EDGE³,), read from a cache below the home or computed and cached.

    The cached file begins with a sha256 of its content; a file that does not match it is computed again.
    """
    path = Home(cohort.home).thumbnails / f"{case.image}.thumb"
    with suppress(OSError):
        cached = path.read_bytes()
        if hashlib.sha256(f"{case.image}".encode() + cached[_SHA:]).digest() == cached[:_SHA]:
            return np.frombuffer(cached[_SHA:], dtype="<f8")
    computed = thumbnail(cohort.image(case))
    content = computed.astype("<f8").tobytes()
    write_atomically(path, hashlib.sha256(f"{case.image}".encode() + content).digest() + content)
    return computed


def thumbnail_correlations(learned: Sequence[np.ndarray], tested: Sequence[np.ndarray]) -> np.ndarray:
    """Pearson correlations (tested, learned) of thumbnails, each (EDGE³,)."""
    if not learned or not tested:
        return np.zeros((len(tested), len(learned)))
    correlations: np.ndarray = np.clip(np.stack(tested) @ np.stack(learned).T, -1, 1)
    return correlations
