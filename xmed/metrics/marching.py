"""Marching: the boundary in a cube of eight voxel centres, as tables over the 256 patterns of inside and outside.

Marching cubes (Lorensen & Cline 1987, in the variant of Lewiner et al. 2003 that scikit-image ships) puts a vertex on
each edge of the cube between an inside and an outside voxel, and joins them by triangles. The pattern is one byte; bit
4·i + 2·j + k is the voxel at offset (i, j, k). The number of an edge is 4·axis + 2·a + b, where a and b are the offsets
along the two other axes, in order.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from skimage.measure import marching_cubes

Spacing = tuple[float, float, float]
"""Voxel edges in mm along i, j, k."""
ACROSS = ((1, 2), (0, 2), (0, 1))
"""The two other axes of each axis."""


@lru_cache(maxsize=64)
def areas_of(spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """For each edge and pattern a third of the area of its triangles.

    Args:
        spacing: Voxel edges in mm along i, j, k.

    Returns:
        Areas (12, 256) and area vectors (12, 256, 3), mm².
    """
    pattern, edges = _triangles()
    a, b, c = (_middles() * spacing)[edges.T]
    vector = np.cross(b - a, c - a) / 6.0
    areas, vectors = np.zeros((12, 256)), np.zeros((12, 256, 3))
    for corner in edges.T:
        np.add.at(areas, (corner, pattern), np.linalg.norm(vector, axis=1))
        np.add.at(vectors, (corner, pattern), vector)
    return areas, vectors


@cache
def _triangles() -> tuple[np.ndarray, np.ndarray]:
    """Every triangle of every pattern: the pattern (t,) and the triangle's three edges (t, 3)."""
    patterns, triangles = [], []
    for pattern in range(1, 255):
        cube = np.array([pattern >> bit & 1 for bit in range(8)], dtype=np.uint8).reshape(2, 2, 2)
        vertices, faces, _, _ = marching_cubes(cube, 0.5)
        axis = (vertices % 1 != 0).argmax(1)
        offset = np.take_along_axis(np.floor(vertices).astype(int), np.array(ACROSS)[axis], 1)
        edge = 4 * axis + 2 * offset[:, 0] + offset[:, 1]
        patterns += [pattern] * len(faces)
        triangles += edge[faces].tolist()
    return np.array(patterns), np.array(triangles)


def _middles() -> np.ndarray:
    """The middle of each edge of the unit cube, (12, 3)."""
    middles = np.full((12, 3), 0.5)
    for edge in range(12):
        middles[edge, list(ACROSS[edge // 4])] = divmod(edge % 4, 2)
    return middles
