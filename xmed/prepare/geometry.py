"""Geometry: the grids that networks work on, and resampling of a Volume onto another grid in patient space."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import ndimage

from xmed.errors import XmedError
from xmed.volume import Grid, Volume

PROBE_MODALITIES = frozenset({"US", "IVUS", "OCT"})
"""Modalities that keep their own axes (lateral, depth, elevation) instead of being reoriented to the patient's."""


def acquisition_axes(grid: Grid) -> Grid:
    """The same voxels, axes permuted and flipped so that i, j, k run most nearly to left, posterior and superior."""
    directions = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    order = max(itertools.permutations(range(3)), key=lambda p: sum(abs(directions[row, p[row]]) for row in range(3)))
    affine, shape = grid.affine.copy(), (grid.shape[order[0]], grid.shape[order[1]], grid.shape[order[2]])
    affine[:3, :3] = grid.affine[:3, order]
    for axis in range(3):
        if affine[axis, axis] < 0:
            affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
            affine[:3, axis] *= -1
    return Grid(shape, affine, grid.frame)


def orthogonal_grid(grid: Grid) -> Grid:
    """Make a grid with orthogonal axes that covers a sheared one (gantry tilt).

    Axis i keeps its direction, j stays in the plane of i and j, and k is perpendicular to both (QR decomposition).
    Voxels keep their volume.

    Args:
        grid: The grid.

    Returns:
        A grid that covers the same box; an orthogonal grid as it is.
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
    """The network's grid for a volume: the volume's own box with another spacing.

    The axes are orthogonal and run most nearly to left, posterior and superior, with oblique angles kept. A volume of
    `PROBE_MODALITIES` keeps its own axes.

    Args:
        volume: The volume.
        spacing_mm: Voxel edges along i, j, k of the new grid.
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
    """The volume's grid, made orthogonal, and reoriented to the patient's axes unless a probe acquired it."""
    grid = orthogonal_grid(volume.grid)
    return grid if volume.modality in PROBE_MODALITIES else acquisition_axes(grid)


def fit_grid(volume: Volume, shape: tuple[int, int, int]) -> Grid:
    """The network's grid for a volume without a known scale: the box of its field of view in `shape` voxels.

    The axes are those of `grid_for`. The spacing differs from case to case, and is as reliable as the volume's.
    """
    old = _own_axes(volume)
    to_old = np.linalg.inv(old.affine) @ volume.affine
    inside = np.argwhere(volume.inside if volume.inside.any() else np.ones_like(volume.inside))
    ends = np.stack([inside.min(0), inside.max(0)]) @ to_old[:3, :3].T + to_old[:3, 3]
    low, extent = ends.min(0) - 0.5, np.ptp(ends, axis=0) + 1  # from edge to edge of the outermost voxels
    step = extent / np.array(shape)
    affine = old.affine.copy()
    affine[:3, :3] = old.affine[:3, :3] * step
    affine[:3, 3] = old.points((low + step / 2)[None])[0]
    return Grid(shape, affine, old.frame)


def resample_to(volume: Volume, where: Volume | Grid, labels: bool = False) -> Volume:
    """Resample a volume onto another grid, in patient space.

    Images are interpolated linearly, after a Gaussian filter against aliasing where the new grid is coarser. Label
    maps are interpolated value by value as masks: a voxel gets the value whose share of it is more than half, and
    background otherwise, so that no new value appears.

    Args:
        volume: The volume.
        where: The grid, or a volume whose grid is used.
        labels: Whether the volume is a label map.

    Returns:
        The volume on the new grid. Outside the old box it has the image's minimum (label 0) and no field of view.

    Raises:
        XmedError: FRAME_MISMATCH when the volume and the grid name different frames of reference.
    """
    grid = where.grid if isinstance(where, Volume) else where
    if volume.frame and grid.frame and volume.frame != grid.frame:
        raise XmedError(
            "FRAME_MISMATCH", f"a volume in frame {volume.frame}", f"frame {grid.frame}", "register the two first"
        )
    if volume.grid.same(grid):
        return volume
    if labels:
        array = _resample_labels(volume.array, volume.grid, grid)
    else:
        low = float(volume.array.min())
        array = interpolate(volume.array, volume.grid, grid, outside=low)
    # A voxel belongs to the field of view when at least half of what it covers does.
    fov = interpolate(volume.inside, volume.grid, grid, outside=0.0) >= 0.5
    return replace(volume, array=array, affine=grid.affine, frame=grid.frame or volume.frame, fov=fov)


onto = resample_to
"""The name of `resample_to` in version 0.1.0; it will be removed after the next release."""


def interpolate(array: np.ndarray, old: Grid, new: Grid, outside: float) -> np.ndarray:
    """Interpolate an array linearly from one grid to another, after a Gaussian filter where the new one is coarser.

    It works through slabs of the new grid, so that beside the two arrays it needs little memory.

    Args:
        array: Values (i, j, k) on `old`.
        old: The grid of `array`.
        new: The grid of the result.
        outside: The value beyond the old box.

    Returns:
        float32 (i, j, k) on `new`.
    """
    resampled = np.empty(new.shape, dtype=np.float32)
    for rows, slab in slabs(new):
        to_old = np.linalg.inv(old.affine) @ slab.affine
        sigma = _antialias(to_old)
        # What the slab's voxels are computed from: between its corners, and as far around as the filter reaches.
        corners = (slab.corners() - old.affine[:3, 3]) @ np.linalg.inv(old.affine[:3, :3]).T
        reach = np.ceil(FILTER_REACH * sigma) + 2
        start = np.clip(np.floor(corners.min(0) - reach), 0, np.array(old.shape) - 1).astype(int)
        stop = np.clip(np.ceil(corners.max(0) + reach) + 1, start + 1, old.shape).astype(int)
        needed = array[tuple(slice(low, high) for low, high in zip(start, stop))].astype(np.float32, copy=False)
        smooth = ndimage.gaussian_filter(needed, sigma, mode="nearest", truncate=FILTER_REACH)
        # The outer half of a border voxel is inside the box; without the padding, `outside` would be blended in there.
        padded = np.pad(smooth, 1, mode="edge")
        resampled[rows] = ndimage.affine_transform(
            padded, to_old[:3, :3], to_old[:3, 3] + 1 - start, slab.shape, order=1, mode="constant", cval=outside
        )
    return resampled


FILTER_REACH = 3
"""Standard deviations at which the Gaussian filter ends."""
SLAB_VOXELS = 2**24
"""Voxels that are computed at a time: 64 MiB in float32."""


def slabs(grid: Grid) -> Iterator[tuple[slice, Grid]]:
    """Divide a grid along its axis i into slabs of at most `SLAB_VOXELS` voxels, and of one row at least.

    Args:
        grid: The grid.

    Yields:
        The rows along i, and the part of the grid that they are. A small grid is one slab.
    """
    thickness = max(SLAB_VOXELS // (grid.shape[1] * grid.shape[2]), 1)
    for start in range(0, grid.shape[0], thickness):
        rows = slice(start, min(start + thickness, grid.shape[0]))
        yield rows, part_of(grid, (rows, slice(None), slice(None)))


def part_of(grid: Grid, box: tuple[slice, ...]) -> Grid:
    """Cut a box out of a grid.

    Args:
        grid: The grid.
        box: First and last voxel along i, j, k, without steps.

    Returns:
        The grid of the voxels in the box.
    """
    ends = [where.indices(size) for where, size in zip(box, grid.shape)]
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [start for start, _, _ in ends]
    (i, j, k) = (stop - start for start, stop, _ in ends)
    return replace(grid, shape=(i, j, k), affine=affine)


def nearest_values(volume: Volume, grid: Grid) -> np.ndarray:
    """The values (i, j, k) of the volume's voxels that are nearest to the voxels of `grid`, 0 beyond the box."""
    to_old = np.linalg.inv(volume.affine) @ grid.affine
    values: np.ndarray = ndimage.affine_transform(
        volume.array, to_old[:3, :3], to_old[:3, 3], grid.shape, order=0, mode="grid-constant", cval=0
    )
    return values


def _antialias(to_old: np.ndarray) -> np.ndarray:
    """Gaussian sigma per old axis, in old voxels: 0.42·√(f²−1), where f is the number of old voxels per new voxel.

    A voxel of edge f has about the resolution of a Gaussian with a full width at half maximum of f, sigma 0.42·f; the
    variance that the old voxels already have is subtracted.
    """
    factor = np.linalg.norm(to_old[:3, :3], axis=1)
    sigma: np.ndarray = 0.42 * np.sqrt(np.maximum(factor**2 - 1.0, 0.0))
    return sigma


def _resample_labels(array: np.ndarray, old: Grid, new: Grid) -> np.ndarray:
    best = np.full(new.shape, 0.5, dtype=np.float32)
    labels = np.zeros(new.shape, dtype=array.dtype)
    for value in np.unique(array):
        if value == 0:
            continue
        share = interpolate(array == value, old, new, outside=0.0)
        larger = share > best
        labels[larger], best[larger] = value, share[larger]
    return labels


def divide_grid(grid: Grid, shape: tuple[int, int, int]) -> Grid:
    """Divide the box of a grid into another number of voxels.

    Args:
        grid: The grid.
        shape: The new number of voxels along i, j, k.

    Returns:
        A grid with the same box, from edge to edge of the outermost voxels.
    """
    ratio = np.array(grid.shape) / np.array(shape)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((ratio - 1) / 2)
    affine[:3, :3] *= ratio
    return replace(grid, shape=shape, affine=affine)


def resize(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resample an array linearly to another number of voxels.

    Args:
        array: Values (i, j, k).
        shape: The new number of voxels along i, j, k.

    Returns:
        Values of that shape, over the same box.
    """
    ratio = np.array(array.shape) / np.array(shape)
    resized: np.ndarray = ndimage.affine_transform(array, ratio, (ratio - 1) / 2, shape, order=1, mode="nearest")
    return resized
