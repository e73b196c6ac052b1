"""Geometry: one Volume onto another's grid; the target geometry is the only inverse ever needed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from scipy import ndimage

from xmed.errors import XmedError
from xmed.volume import Grid, Volume

PROBE_MODALITIES = frozenset({"US", "IVUS", "OCT"})
"""Modalities whose own axes (lateral, depth, elevation) mean more than the patient's: they are not reoriented."""


def acquisition_axes(grid: Grid) -> Grid:
    """The same voxels, axes permuted and flipped so that i, j, k run most nearly to L, P, S; nothing is resampled."""
    directions = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    order = max(itertools.permutations(range(3)), key=lambda p: sum(abs(directions[row, p[row]]) for row in range(3)))
    affine, shape = grid.affine.copy(), (grid.shape[order[0]], grid.shape[order[1]], grid.shape[order[2]])
    affine[:3, :3] = grid.affine[:3, order]
    for axis in range(3):
        if affine[axis, axis] < 0:
            affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
            affine[:3, axis] *= -1
    return Grid(shape, affine, grid.frame)


def upright(grid: Grid) -> Grid:
    """A grid of three right angles around a sheared one (a tilted gantry's), or the grid itself where it has them.

    i keeps its direction, j stays in its plane, k stands on both. Voxels keep their size, and the box covers the other.
    """
    directions = grid.affine[:3, :3] / np.array(grid.spacing)
    if np.abs(directions.T @ directions - np.eye(3)).max() * max(grid.shape) < 1e-2:  # of a voxel, across the grid
        return grid
    square, lengths = np.linalg.qr(grid.affine[:3, :3])
    affine, signs = np.eye(4), np.sign(np.diag(lengths))
    affine[:3, :3] = square * signs * np.abs(np.diag(lengths))
    corners = (grid.corners() - grid.affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    low = np.floor(corners.min(0) + 1e-6)
    affine[:3, 3] = grid.affine[:3, 3] + affine[:3, :3] @ low
    shape = np.ceil(corners.max(0) - low - 1e-6).astype(int) + 1
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, grid.frame)


def grid_for(volume: Volume, spacing_mm: tuple[float, float, float]) -> Grid:
    """The net's grid for one volume: its own box, `spacing_mm` along i, j, k.

    Axes run most nearly to left, posterior and superior, oblique angles kept, and stand at right angles; a probe's
    volume keeps its own axes.
    """
    old = _own_axes(volume)
    extent = np.array(old.shape) * old.spacing
    shape = np.maximum(1, np.rint(extent / spacing_mm)).astype(int)
    directions = old.affine[:3, :3] / np.array(old.spacing)
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing_mm)
    middle = old.points(((np.array(old.shape) - 1) / 2)[None])[0]
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(tuple(shape), affine, old.frame)


def _own_axes(volume: Volume) -> Grid:
    """The volume's grid, upright, its axes named after the patient's unless they are a probe's."""
    grid = upright(volume.grid)
    return grid if volume.modality in PROBE_MODALITIES else acquisition_axes(grid)


def fitted(volume: Volume, shape: tuple[int, int, int]) -> Grid:
    """The net's grid for a volume without a scale: the box of its field of view, divided into `shape` voxels.

    Axes as in `grid_for`. The spacing that comes out is the case's own, and means as much as the volume's does.
    """
    old = _own_axes(volume)
    to_old = np.linalg.inv(old.affine) @ volume.affine
    seen = np.argwhere(volume.inside) if volume.inside.any() else np.argwhere(np.ones_like(volume.inside))
    ends = np.stack([seen.min(0), seen.max(0)]) @ to_old[:3, :3].T + to_old[:3, 3]
    low, extent = ends.min(0) - 0.5, np.ptp(ends, axis=0) + 1  # from edge to edge of the outermost voxels
    step = extent / np.array(shape)
    affine = old.affine.copy()
    affine[:3, :3] = old.affine[:3, :3] * step
    affine[:3, 3] = old.points((low + step / 2)[None])[0]
    return Grid(shape, affine, old.frame)


def onto(volume: Volume, where: Volume | Grid, labels: bool = False) -> Volume:
    """`volume` resampled onto the grid of `where`, in patient space.

    Images are interpolated linearly, after a Gaussian against aliasing where the new grid is coarser. With `labels`
    every value is interpolated as a mask of its own and the largest share wins (ties go to background), so no value is
    invented. Outside the volume: the image's minimum, label 0, and no field of view.

    Raises XmedError FRAME_MISMATCH when both sides name different frames of reference.
    """
    grid = where.grid if isinstance(where, Volume) else where
    if volume.frame and grid.frame and volume.frame != grid.frame:
        raise XmedError(
            "FRAME_MISMATCH", f"a volume in frame {volume.frame}", f"frame {grid.frame}", "register the two first"
        )
    if volume.grid.same(grid):
        return volume
    if labels:
        array = _labels_onto(volume.array, volume.grid, grid)
    else:
        low = float(volume.array.min())
        array = interpolate(volume.array, volume.grid, grid, outside=low)
    # A voxel belongs to the field of view when at least half of what it covers does.
    fov = interpolate(volume.inside.astype(np.float32), volume.grid, grid, outside=0.0) >= 0.5
    return replace(volume, array=array, affine=grid.affine, frame=grid.frame or volume.frame, fov=fov)


def interpolate(array: np.ndarray, old: Grid, new: Grid, outside: float) -> np.ndarray:
    """Linear interpolation of `array` (i, j, k) from grid `old` to grid `new` as float32, `outside` beyond the box."""
    to_old = np.linalg.inv(old.affine) @ new.affine
    smooth = ndimage.gaussian_filter(
        array.astype(np.float32, copy=False), _antialias(to_old), mode="nearest", truncate=3
    )
    # Half a voxel of margin is still inside the box; without it a border of `outside` would be blended in.
    return ndimage.affine_transform(
        np.pad(smooth, 1, mode="edge"),
        to_old[:3, :3],
        to_old[:3, 3] + 1,
        new.shape,
        order=1,
        mode="constant",
        cval=outside,
    )


def nearest(volume: Volume, grid: Grid) -> np.ndarray:
    """The values (i, j, k) of the voxels that lie nearest to those of `grid`, 0 beyond the box."""
    to_old = np.linalg.inv(volume.affine) @ grid.affine
    return ndimage.affine_transform(
        volume.array, to_old[:3, :3], to_old[:3, 3], grid.shape, order=0, mode="grid-constant", cval=0
    )


def _antialias(to_old: np.ndarray) -> np.ndarray:
    """Gaussian sigma per old axis (old voxels) for a coarser new grid: 0.42·√(f²−1), f old voxels per new voxel."""
    factor = np.linalg.norm(to_old[:3, :3], axis=1)
    return 0.42 * np.sqrt(np.maximum(factor**2 - 1.0, 0.0))


def _labels_onto(array: np.ndarray, old: Grid, new: Grid) -> np.ndarray:
    best = np.full(new.shape, 0.5, dtype=np.float32)
    out = np.zeros(new.shape, dtype=array.dtype)
    for value in np.unique(array):
        if value == 0:
            continue
        share = interpolate(array == value, old, new, outside=0.0)
        won = share > best
        # Two structures may share a voxel in which neither holds half; the larger one still beats background there.
        out[won], best[won] = value, share[won]
    return out


def divided(grid: Grid, shape: tuple[int, int, int]) -> Grid:
    """The box of a grid, from edge to edge of its outermost voxels, divided into another number of voxels."""
    ratio = np.array(grid.shape) / np.array(shape)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((ratio - 1) / 2)
    affine[:3, :3] *= ratio
    return replace(grid, shape=shape, affine=affine)


def resized(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear resampling of an array (i, j, k) onto its own box, divided into another number of voxels."""
    ratio = np.array(array.shape) / np.array(shape)
    return ndimage.affine_transform(array, ratio, (ratio - 1) / 2, shape, order=1, mode="nearest")
