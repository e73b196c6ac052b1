"""Input of a renderer: labelled source anatomy on the network's grid, without any target label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage


@dataclass(frozen=True, eq=False)
class LabelledAnatomy:
    """image float32 (i, j, k) in [0, 1], 0 for air and 1 for the 99th percentile of the source; label uint8 (i, j, k);
    fov bool (i, j, k); spacing mm; probe the unit step of the beam along an array axis as (axis, ±1), sound only;
    fluid: label value → how likely that structure is fluid, where its codes or the source's modality say so.
    """

    image: np.ndarray
    label: np.ndarray
    fov: np.ndarray
    spacing: tuple[float, float, float]
    probe: tuple[int, int] = (1, 1)
    fluid: Mapping[int, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.image.shape

    def voxels(self, mm: float) -> np.ndarray:
        """A length in mm as voxels along i, j, k."""
        return mm / np.array(self.spacing)

    def smooth(self, array: np.ndarray, mm: float) -> np.ndarray:
        """`array` under a Gaussian of `mm` standard deviation, float32."""
        return ndimage.gaussian_filter(array.astype(np.float32, copy=False), self.voxels(mm), truncate=3)

    def body(self) -> np.ndarray:
        """Soft edge of the patient, float32 in [0, 1]: tissue against air, holes slice by slice filled."""
        solid = self.smooth(self.image, 3.0) > 0.06
        filled = np.stack([ndimage.binary_fill_holes(s) for s in np.moveaxis(solid, 2, 0)], axis=2)
        return self.smooth(filled, 1.5)

    def around(self, mask: np.ndarray) -> np.ndarray:
        """The unlabelled surroundings of a structure, bool (i, j, k); the structure itself where nothing is in view."""
        near = (self.smooth(mask, 6.0) > 0.01) & ~mask
        return near if near.any() else mask

    def noise(self, random: np.random.Generator, cell_mm: float) -> np.ndarray:
        """Smooth Gaussian noise, zero mean and unit variance, float32 (i, j, k), varying over about `cell_mm`."""
        cell = np.maximum(self.voxels(cell_mm), 1.0)
        coarse = random.standard_normal(np.ceil(np.array(self.shape) / cell).astype(int) + 3).astype(np.float32)
        start = random.uniform(0.5, 1.5, 3)  # the lattice itself is shifted, or its nodes would show
        field = ndimage.affine_transform(coarse, 1 / cell, start, self.shape, order=1, mode="nearest")
        field = ndimage.gaussian_filter(field, cell * 0.4, mode="reflect", truncate=2)
        return (field - field.mean()) / max(float(field.std()), 1e-6)

    def coordinates(self) -> np.ndarray:
        """Voxel centres in mm from the first voxel, float32 (3, i, j, k)."""
        axes = [np.arange(n, dtype=np.float32) * mm for n, mm in zip(self.shape, self.spacing)]
        return np.stack(np.meshgrid(*axes, indexing="ij"))


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A draw whose logarithm is uniform between those of `low` and `high`."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def smooth_noise(random: np.random.Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]) -> np.ndarray:
    """White noise under a Gaussian of `sigma` voxels, zero mean and unit variance, float32."""
    field = ndimage.gaussian_filter(random.standard_normal(shape, dtype=np.float32), sigma, mode="reflect", truncate=3)
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))
