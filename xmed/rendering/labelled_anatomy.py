"""Input of a renderer: labelled source anatomy on the network's grid, no target label; and each modality's renderer.

A renderer is one file of this folder with a function `render(anatomy, random)` and a tuple `MODALITIES` of the DICOM
modalities that it draws. The folder is the registry. `randomise` draws every modality that has no physics here yet.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

import xmed.rendering

GENERIC = "randomise"
"""File of the renderer for modalities without one of their own."""


@dataclass(frozen=True, eq=False)
class LabelledAnatomy:
    """Source anatomy in the target's pose.

    Attributes:
        image: Float32 (i, j, k) in [0, 1]: 0 for air, 1 for the 99th percentile of the source.
        label: uint8 (i, j, k).
        fov: Field of view, bool (i, j, k).
        spacing: Voxel edges in mm.
        probe: For ultrasound: the axis of the array along which the beam runs, and +1 or −1 for its direction.
        fluid: Label value → probability that the structure is fluid, where its codes or the source's modality tell.
    """

    image: np.ndarray
    label: np.ndarray
    fov: np.ndarray
    spacing: tuple[float, float, float]
    probe: tuple[int, int] = (1, 1)
    fluid: Mapping[int, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (i, j, k)."""
        return self.image.shape

    def voxels(self, mm: float) -> np.ndarray:
        """Convert a length in mm to voxels along i, j, k."""
        return mm / np.array(self.spacing)

    def smooth(self, array: np.ndarray, mm: float) -> np.ndarray:
        """Filter with a Gaussian of `mm` standard deviation; float32."""
        filtered: np.ndarray = ndimage.gaussian_filter(
            array.astype(np.float32, copy=False), self.voxels(mm), truncate=3
        )
        return filtered

    def body(self) -> np.ndarray:
        """Return the patient's body with a soft edge, float32 in [0, 1]; holes are filled slice by slice."""
        solid = self.smooth(self.image, 3.0) > 0.06
        filled = np.stack([ndimage.binary_fill_holes(s) for s in np.moveaxis(solid, 2, 0)], axis=2)
        return self.smooth(filled, 1.5)

    def around(self, mask: np.ndarray) -> np.ndarray:
        """Return the surroundings of a structure, bool (i, j, k); the structure itself where it has none in view."""
        near = (self.smooth(mask, 6.0) > 0.01) & ~mask
        return near if near.any() else mask

    def noise(self, random: np.random.Generator, cell_mm: float) -> np.ndarray:
        """Draw smooth Gaussian noise, float32 (i, j, k), mean 0, variance 1, which varies over about `cell_mm`."""
        cell = np.maximum(self.voxels(cell_mm), 1.0)
        coarse = random.standard_normal(np.ceil(np.array(self.shape) / cell).astype(int) + 3).astype(np.float32)
        start = random.uniform(0.5, 1.5, 3)  # the lattice itself is shifted, or its nodes would show
        field = ndimage.affine_transform(coarse, 1 / cell, start, self.shape, order=1, mode="nearest")
        field = ndimage.gaussian_filter(field, cell * 0.4, mode="reflect", truncate=2)
        noise: np.ndarray = (field - field.mean()) / max(float(field.std()), 1e-6)
        return noise

    def coordinates(self) -> np.ndarray:
        """Return voxel centres in mm from the first voxel, float32 (3, i, j, k)."""
        axes = [np.arange(n, dtype=np.float32) * mm for n, mm in zip(self.shape, self.spacing)]
        return np.stack(np.meshgrid(*axes, indexing="ij"))


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """Draw a value whose logarithm is uniform between those of `low` and `high`."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def smooth_noise(random: np.random.Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]) -> np.ndarray:
    """Draw white noise filtered by a Gaussian of `sigma` voxels; float32, mean 0, variance 1."""
    field = ndimage.gaussian_filter(random.standard_normal(shape, dtype=np.float32), sigma, mode="reflect", truncate=3)
    noise: np.ndarray = (field - field.mean()) / max(float(field.std()), 1e-6)
    return noise


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(−x)), with x clipped to [−30, 30]."""
    share: np.ndarray = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return share


Renderer = Callable[[LabelledAnatomy, np.random.Generator], np.ndarray]
"""(anatomy, random generator) → image float32 (i, j, k)."""


def renderers() -> dict[str, str]:
    """Return DICOM modality → name of the file that renders it."""
    by_modality = {}
    for name in sorted(m.name for m in pkgutil.iter_modules(xmed.rendering.__path__)):
        module = importlib.import_module(f"xmed.rendering.{name}")
        by_modality.update(dict.fromkeys(getattr(module, "MODALITIES", ()), name))
    return by_modality


def renderer(modality: str) -> Renderer:
    """Return the renderer of a DICOM modality; label-conditioned randomisation where it has none."""
    render: Renderer = importlib.import_module(f"xmed.rendering.{renderers().get(modality, GENERIC)}").render
    return render
