"""Sample: one case on the network's grid, ready to draw patches from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from xmed.prepare.geometry import acquisition_axes, divide_grid, fit_grid, grid_for, nearest_values, resample_to, resize
from xmed.prepare.intensity import normalise
from xmed.spec import GridSpec
from xmed.volume import Grid, Volume


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
    return replace(sample, image=image, fov=fov, grid=divide_grid(sample.grid, (i, j, k)), label=None)
