"""Sample: one case on the net's grid, ready to draw patches from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from xmed.prepare.geometry import acquisition_axes, divided, fitted, grid_for, nearest, onto, resized
from xmed.prepare.intensity import normalise
from xmed.spec import GridSpec
from xmed.volume import Grid, Volume


@dataclass(frozen=True, eq=False)
class Sample:
    """image float32 (i, j, k), normalised; label uint8 (i, j, k) or None; fov bool (i, j, k); all on `grid`.

    fluid: label value -> whether that structure is full of fluid, where its codes say so (see labels.Structure).
    """

    case: str
    image: np.ndarray
    fov: np.ndarray
    grid: Grid
    label: np.ndarray | None = None
    fluid: Mapping[int, bool] = field(default_factory=dict)

    @property
    def truth(self) -> np.ndarray:
        """The label map of a labelled sample. Raises ValueError for an unlabelled one."""
        if self.label is None:
            raise ValueError(f"case {self.case} has no label here")
        return self.label

    @property
    def spacing(self) -> tuple[float, float, float]:
        return self.grid.spacing


def sample(
    case: str,
    volume: Volume,
    spec: GridSpec,
    window: tuple[float, float] | None = None,
    label: Volume | None = None,
) -> Sample:
    """`volume` (and its label map, already in the net's values 0, 1, ...) on the study's grid, normalised."""
    grid = net_grid(volume, spec)
    moved = onto(volume, grid)
    mask = None if label is None else onto(label, grid, labels=True).array.astype(np.uint8)
    return Sample(case, normalise(moved.array, moved.inside, window), moved.inside, grid, mask)


def net_grid(volume: Volume, spec: GridSpec) -> Grid:
    """Where a study's net sees a volume: `fit` voxels of its field of view, or voxels of `spacing_mm`."""
    if spec.fit is not None:
        return fitted(volume, spec.fit)
    assert spec.spacing_mm is not None  # a GridSpec has one of the two
    return grid_for(volume, spec.spacing_mm)


def map_sample(case: str, dense: Volume, spec: GridSpec) -> Sample:
    """A label map alone: its ids, not normalised, as the image.

    On voxels of `spacing_mm`, or its own where the study's grid names none; every voxel takes its nearest id.
    """
    grid = grid_for(dense, spec.spacing_mm or acquisition_axes(dense.grid).spacing)
    return Sample(case, nearest(dense, grid).astype(np.float32), np.ones(grid.shape, dtype=bool), grid)


def enlarged(seen: Sample, spec: GridSpec) -> Sample:
    """A volume that is smaller than the net's patch, enlarged half the way to filling it (as a power).

    Along the axes that the net looks along, all by the same factor; without a label map. Larger ones stay as they are.
    """
    axes = spec.spatial_dims
    factor = max(max(spec.patch[:axes]) / max(seen.image.shape[:axes]), 1.0) ** 0.5
    i, j, k = (round(n * factor) if axis < axes else n for axis, n in enumerate(seen.image.shape))
    image, fov = resized(seen.image, (i, j, k)), resized(seen.fov.astype(np.float32), (i, j, k)) > 0.5
    return replace(seen, image=image, fov=fov, grid=divided(seen.grid, (i, j, k)), label=None)
