"""Sample: one case on the net's grid, ready to draw patches from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmed.prepare.geometry import grid_for, onto
from xmed.prepare.intensity import normalise
from xmed.spec import GridSpec
from xmed.volume import Grid, Volume


@dataclass(frozen=True, eq=False)
class Sample:
    """image float32 (i, j, k), normalised; label uint8 (i, j, k) or None; fov bool (i, j, k); all on `grid`."""

    case: str
    image: np.ndarray
    fov: np.ndarray
    grid: Grid
    label: np.ndarray | None = None

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
    grid = grid_for(volume, spec.spacing_mm)
    moved = onto(volume, grid)
    mask = None if label is None else onto(label, grid, labels=True).array.astype(np.uint8)
    return Sample(case, normalise(moved.array, moved.inside, window), moved.inside, grid, mask)
