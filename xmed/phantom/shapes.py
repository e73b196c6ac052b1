"""Implicit surfaces and smooth random fields, evaluated at any points in mm.

Points are float32 (3, n). A distance is in mm, negative inside, and correct to first order near the surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

MAX_WAVE_SD = 3.5
"""No value of `PlaneWaves` exceeds this many standard deviations: six waves in phase reach √12."""


class Shape(Protocol):
    """A closed surface inside the box with half edges `reach` (3,) about `centre` (3,), in mm."""

    @property
    def centre(self) -> np.ndarray: ...
    @property
    def reach(self) -> np.ndarray: ...
    def distance(self, points: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """An ellipsoid.

    Attributes:
        centre: (3,) in mm.
        radii: (3,) in mm.
        turn: Rotation (3, 3); its columns are the axes of the radii.
    """

    centre: np.ndarray
    radii: np.ndarray
    turn: np.ndarray

    @property
    def reach(self) -> np.ndarray:
        """Return half edges (3,) of the bounding box."""
        half_edges: np.ndarray = np.linalg.norm(self.turn * self.radii, axis=1)
        return half_edges

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Return distances along the ray from the centre."""
        offset = points - self.centre.astype(np.float32)[:, None]
        level = _length((self.turn / self.radii).T.astype(np.float32) @ offset)
        distances: np.ndarray = _length(offset) * (1 - 1 / np.maximum(level, 1e-3))
        return distances


@dataclass(frozen=True, eq=False)
class Tube:
    """All points within a radius of a polyline.

    Attributes:
        path: Its vertices (m, 3) in mm.
        radii: Radius at each vertex in mm, (m,), interpolated between them.
    """

    path: np.ndarray
    radii: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """Return the centre (3,) of the bounding box."""
        middle: np.ndarray = (self.path.min(axis=0) + self.path.max(axis=0)) / 2
        return middle

    @property
    def reach(self) -> np.ndarray:
        """Return half edges (3,) of the bounding box."""
        half_edges: np.ndarray = (self.path.max(axis=0) - self.path.min(axis=0)) / 2 + self.radii.max()
        return half_edges

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Return distances to the nearest segment's surface."""
        nearest = np.full(points.shape[1], np.inf, dtype=np.float32)
        path, radii = self.path.astype(np.float32), self.radii.astype(np.float32)
        for a, b, near, far in zip(path[:-1], path[1:], radii[:-1], radii[1:]):
            along, from_a = b - a, points - a[:, None]
            share = np.clip(along / (along @ along) @ from_a, 0, 1)
            from_line = _length(from_a - along[:, None] * share)
            np.minimum(nearest, from_line - near - share * (far - near), out=nearest)
        return nearest


@dataclass(frozen=True, eq=False)
class Trunk:
    """An endless cylinder along z whose cross-section is a superellipse.

    Distances are correct in front and behind. At the sides they are too small, so layers of fat are thicker there.

    Attributes:
        centre: (3,) in mm; z does not matter.
        half: Half-widths in x and y, (2,) in mm.
    """

    centre: np.ndarray
    half: np.ndarray
    reach = np.full(3, np.inf)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Return distances scaled by the half-width in y."""
        x, y = (points[:2] - self.centre[:2, None].astype(np.float32)) / self.half[:, None].astype(np.float32)
        level = np.sqrt(np.sqrt((x * x) ** 2 + (y * y) ** 2))  # exponent 4, towards a box: a belly is flat in front
        distances: np.ndarray = (level - 1) * np.float32(self.half[1])
        return distances


@dataclass(frozen=True, eq=False)
class PlaneWaves:
    """A smooth random field: a sum of plane waves, evaluated without a grid."""

    vectors: np.ndarray
    phases: np.ndarray
    weights: np.ndarray

    @classmethod
    def draw(
        cls, random: np.random.Generator, wavelengths: tuple[float, float], strength: float, channels: int = 1
    ) -> PlaneWaves:
        """Draw six waves of random direction.

        Args:
            random: Random generator.
            wavelengths: Range of the wavelengths in mm, log-uniform.
            strength: Standard deviation of the field.
            channels: Number of fields.
        """
        count = 6
        directions = random.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = np.exp(random.uniform(np.log(wavelengths[0]), np.log(wavelengths[1]), (count, 1)))
        weights = random.normal(size=(channels, count))
        weights *= strength * np.sqrt(2) / np.linalg.norm(weights, axis=1, keepdims=True)
        phases = random.uniform(0, 2 * np.pi, (count, 1))
        return cls(*(part.astype(np.float32) for part in (2 * np.pi * directions / lengths, phases, weights)))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return values (channels, n) at points (3, n)."""
        values: np.ndarray = self.weights @ np.cos(self.vectors @ points + self.phases)
        return values


@dataclass(frozen=True, eq=False)
class LatticeNoise:
    """A random field without visible direction or period: filtered noise on a lattice that repeats far away."""

    lattice: np.ndarray
    edge: float

    @classmethod
    def draw(cls, random: np.random.Generator, edge: float, octaves: tuple[float, ...] = (0.7, 2.0)) -> LatticeNoise:
        """Draw a field of unit variance.

        Args:
            random: Random generator.
            edge: Distance of lattice points in mm.
            octaves: Standard deviations of Gaussian filters in lattice points; the filtered fields have equal power.
        """
        noise = random.standard_normal((len(octaves), 64, 64, 64), dtype=np.float32)
        fields = [ndimage.gaussian_filter(layer, width, mode="wrap") for layer, width in zip(noise, octaves)]
        field = np.sum([layer / layer.std() for layer in fields], axis=0)
        return cls(field / field.std(), edge)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return values (n,) at points (3, n)."""
        values: np.ndarray = ndimage.map_coordinates(
            self.lattice, points / np.float32(self.edge), order=1, mode="grid-wrap"
        )
        return values


def _length(vectors: np.ndarray) -> np.ndarray:
    x, y, z = vectors
    lengths: np.ndarray = np.sqrt(x * x + y * y + z * z)
    return lengths


def rotation_matrix(x: float, y: float, z: float) -> np.ndarray:
    """Return the rotation (3, 3) about the x, then the y, then the z axis; angles in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians([x, y, z])), np.sin(np.radians([x, y, z]))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: np.ndarray = about_z @ about_y @ about_x
    return rotation
