"""Sample: one case on the network's grid, ready to draw patches from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from xmed.prepare.geometry import acquisition_axes, divide_grid, fit_grid, grid_for, nearest_values, resample_to, resize
from xmed.prepare.intensity import normalise
from xmed.spec import GridSpec
from xmed.volume import Grid, Volume


class Layer(Protocol):
    """What patches are cut from: a tensor in memory, or an array on the disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each axis."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any, /) -> Tensor: ...

    def any(self) -> Any:
        """Whether any of the values is not zero."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One case on the network's grid.

    Attributes:
        case: Case id.
        image: Normalised intensities, float32 (i, j, k).
        fov: Field of view, bool (i, j, k).
        grid: The grid of all arrays.
        label: Reference label map, uint8 (i, j, k), or None.
        fluid: Label value → whether that structure is filled with fluid, where its codes say so.
    """

    case: str
    image: np.ndarray
    fov: np.ndarray
    grid: Grid
    label: np.ndarray | None = None
    fluid: Mapping[int, bool] = field(default_factory=dict)

    @property
    def reference(self) -> np.ndarray:
        """The label map of a labelled sample, uint8 (i, j, k).

        Raises:
            ValueError: For an unlabelled sample.
        """
        if self.label is None:
            raise ValueError(f"case {self.case} has no label here")
        return self.label

    @property
    def truth(self) -> np.ndarray:
        """The name of `reference` in version 0.1.0, which methods of others may use."""
        return self.reference

    def with_image(self, image: np.ndarray) -> Sample:
        """Replace the intensities.

        Args:
            image: Normalised intensities, float32 (i, j, k).

        Returns:
            A sample in memory, otherwise the same.
        """
        return Sample(self.case, image, self.fov, self.grid, self.label, self.fluid)

    @property
    def darkest(self) -> float:
        """The lowest intensity."""
        return float(self.image.min())

    def layers(self) -> list[Layer]:
        """Give the arrays that patches are cut from.

        Returns:
            Image, field of view and, of a labelled sample, label map.
        """
        return [torch.from_numpy(layer) for layer in (self.image, self.fov, self.label) if layer is not None]

    def foreground(self) -> list[Layer]:
        """Find the voxels of each structure.

        Returns:
            For each value of the label map the flat indices of its voxels, int32.
        """
        if self.label is None:
            return []
        return [torch.from_numpy(np.flatnonzero(self.label == v).astype(np.int32)) for v in np.unique(self.label) if v]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edges in mm along i, j, k."""
        return self.grid.spacing


def make_sample(
    case: str,
    volume: Volume,
    spec: GridSpec,
    window: tuple[float, float] | None = None,
    label: Volume | None = None,
) -> Sample:
    """Resample a volume and its label map onto the study's grid and normalise the intensities.

    Args:
        case: Case id.
        volume: The image.
        spec: The study's grid.
        window: Intensity window, see `normalise`.
        label: The label map in the network's values 0, 1, ..., or None.

    Returns:
        The sample.
    """
    grid = network_grid(volume, spec)
    resampled = resample_to(volume, grid)
    label_array = None if label is None else resample_to(label, grid, labels=True).array.astype(np.uint8)
    return Sample(case, normalise(resampled.array, resampled.inside, window), resampled.inside, grid, label_array)


def network_grid(volume: Volume, spec: GridSpec) -> Grid:
    """The network's grid for a volume: `fit` voxels of its field of view, or voxels of `spacing_mm`."""
    if spec.fit is not None:
        return fit_grid(volume, spec.fit)
    assert spec.spacing_mm is not None  # a GridSpec has one of the two
    return grid_for(volume, spec.spacing_mm)


def map_sample(case: str, dense: Volume, spec: GridSpec) -> Sample:
    """The sample of a label map without an image: its values, not normalised, are the image.

    The grid has the spec's `spacing_mm`, or the map's own spacing without one; interpolation is nearest-neighbour.
    """
    grid = grid_for(dense, spec.spacing_mm or acquisition_axes(dense.grid).spacing)
    return Sample(case, nearest_values(dense, grid).astype(np.float32), np.ones(grid.shape, dtype=bool), grid)


def enlarge(sample: Sample, spec: GridSpec) -> Sample:
    """Enlarge a sample that is smaller than the network's patch.

    The factor is the square root of the one that would fill the patch, the same along all spatial axes of the network.

    Args:
        sample: The sample.
        spec: The study's grid.

    Returns:
        The enlarged sample, without a label map; a sample that fills the patch as it is.
    """
    axes = spec.spatial_dims
    factor = max(max(spec.patch[:axes]) / max(sample.image.shape[:axes]), 1.0) ** 0.5
    i, j, k = (round(n * factor) if axis < axes else n for axis, n in enumerate(sample.image.shape))
    image, fov = resize(sample.image, (i, j, k)), resize(sample.fov.astype(np.float32), (i, j, k)) > 0.5
    return Sample(sample.case, image, fov, divide_grid(sample.grid, (i, j, k)), fluid=sample.fluid)
