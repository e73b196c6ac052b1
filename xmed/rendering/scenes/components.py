"""Connected components of one structure in a picture. Each echoes in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import log_uniform


@dataclass(frozen=True, eq=False)
class Components:
    """The connected components of one structure in a picture.

    Attributes:
        depth: Voxels inside the structure's edge, negative outside, (i, j).
        owner: Number, from 0, of the component that a pixel is in or nearest to, (i, j).
        half: Half of each component's extent along the beam, (components,).
        middle: Middle of each component's extent along the beam, (components,).
    """

    depth: np.ndarray
    owner: np.ndarray
    half: np.ndarray
    middle: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Components | None:
        """Return the components of `mask`, bool (i, j), or None where it is empty."""
        parts, count = ndimage.label(mask)
        if count == 0:
            return None
        away, spots = ndimage.distance_transform_edt(~mask, return_indices=True)
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask) - away, 0.7).astype(np.float32)
        rows = [box[1] for box in ndimage.find_objects(parts)]
        half, middle = (np.array([(r.stop + s * r.start) / 2 for r in rows]) for s in (-1, 1))
        return cls(depth, parts[tuple(spots)] - 1, half, middle)

    def each(self, values: list[float] | np.ndarray) -> np.ndarray:
        """Spread one value per component to one per pixel."""
        per_pixel: np.ndarray = np.asarray(values, dtype=np.float32)[self.owner]
        return per_pixel

    def log_uniform(self, random: np.random.Generator, low: float, high: float) -> np.ndarray:
        """Draw one value per component, its logarithm uniform, and spread it to the pixels."""
        return self.each([log_uniform(random, low, high) for _ in self.half])

    def uniform(self, random: np.random.Generator, low: float, high: float) -> np.ndarray:
        """Draw one uniform value per component and spread it to the pixels."""
        return self.each(random.uniform(low, high, len(self.half)))

    def square(self) -> np.ndarray:
        """Return how squarely the sound meets the edge: the normal's part along the beam, in [0, 1]."""
        i, j = np.gradient(self.depth)
        facing: np.ndarray = np.abs(j) / np.maximum(np.hypot(i, j), 1e-6)
        return facing
