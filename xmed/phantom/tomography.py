"""Where a tomograph puts its slices through the phantom, and the tissue and texture that each voxel shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.shapes import LatticeNoise, rotation_matrix
from xmed.volume import Grid

PELVIS_SHAPE, PELVIS_SPACING_MM = (256, 256, 160), 1.5
"""A clinical field of view: 384 x 384 x 240 mm."""


def organs_grid(random: np.random.Generator) -> Grid:
    """Draw slices around the organs as a technologist may choose them: turned by some degrees, centred only roughly.

    Args:
        random: Random generator.

    Returns:
        A grid of 128 x 116 x about 40 voxels of 1.5 x 1.5 x 3 mm.
    """
    u = random.uniform
    spacing, shape = np.array([u(1.4, 1.6)] * 2 + [3.0]), (128, 116, int(random.integers(36, 43)))
    axes = rotation_matrix(u(-14, 14), u(-5, 5), u(-6, 6))
    middle = np.array([u(-15, 15), u(-18, 12), u(-4, 24)])
    return _grid(shape, axes * spacing, middle)


def pelvis_grid(random: np.random.Generator, tilt: float) -> Grid:
    """Draw slices through the whole pelvis, in which the body lies somewhere: position alone finds no organ.

    Args:
        random: Random generator.
        tilt: Largest turn about each axis in degrees: 0 for a gantry that stands upright.

    Returns:
        A grid of `PELVIS_SHAPE`.
    """
    u = random.uniform
    axes = rotation_matrix(u(-tilt, tilt), u(-tilt, tilt), u(-tilt, tilt))
    middle = np.array([u(-30, 30), u(0, 90), u(-35, 60)])
    return _grid(PELVIS_SHAPE, axes * PELVIS_SPACING_MM, middle)


def _grid(shape: tuple[int, int, int], axes: np.ndarray, middle: np.ndarray) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def grid_points(grid: Grid, finer: int = 1) -> np.ndarray:
    """Return the places of a grid's voxels.

    Args:
        grid: The grid.
        finer: Number of layers that each voxel is cut into along k.

    Returns:
        Patient coordinates in mm, float32 (i, j, k * finer, 3).
    """
    axes = grid.affine[:3].astype(np.float32)
    i, j, k = (np.arange(n, dtype=np.float32)[:, None] for n in (*grid.shape[:2], grid.shape[2] * finer))
    along_i, along_j, along_k = i * axes[:, 0], j * axes[:, 1], ((k + 0.5) / finer - 0.5) * axes[:, 2]
    return along_i[:, None, None] + along_j[None, :, None] + (along_k + axes[:, 3])


def sublayers(anatomy: Pelvis, grid: Grid, grain: LatticeNoise, finer: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what the layers of every voxel hold; their mean is what a slice as thick as its distance shows.

    Args:
        anatomy: The person.
        grid: The voxels.
        grain: The texture of all tissues, of unit variance.
        finer: Number of layers along k.

    Yields:
        Tissue, uint8 (i, j, k), of one layer, and the texture, float32 (i, j, k), the same for all layers.
    """
    points = grid_points(grid, finer)
    tissue = anatomy.tissue(points)
    middle = points[:, :, finer // 2 :: finer].reshape(-1, 3).T
    texture = grain(middle).reshape(grid.shape)
    for layer in range(finer):
        yield tissue[:, :, layer::finer], texture
