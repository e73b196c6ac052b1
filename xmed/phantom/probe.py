"""A curved 3-D abdominal transducer: where it is held, and the sector that it sweeps.

Local axes in mm from the middle of the probe's face: x lateral, y depth, z elevation (right-handed). A beam leaves the
face at lateral angle θ and elevation angle φ. The centres of both circles lie behind the face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.shapes import rotation_matrix
from xmed.phantom.tissue import BLADDER, PROSTATE, Tissue, structure_labels
from xmed.volume import Grid

MAX_TRIES, GOOD_VISIBILITY = 16, 0.8
"""How many positions are tried, and the share of prostate and bladder that must be visible for a position to be taken
at once.
"""
OPAQUE = (Tissue.AIR, Tissue.BONE, Tissue.MARROW, Tissue.CARTILAGE, Tissue.RECTAL_GAS, Tissue.BOWEL_GAS)
"""Tissues that sound does not pass."""


@dataclass(frozen=True, eq=False)
class CurvedProbe:
    """Geometry of a probe in use.

    Attributes:
        position: Middle of the face in patient coordinates, mm, (3,).
        axes: Local axes x, y, z as columns, (3, 3).
        radius: Radius of the curved array in mm.
        sweep: Radius of the sweep in mm.
        depth: Largest depth in mm.
        half_lateral: Half of the lateral angle in radians.
        half_elevation: Half of the elevation angle in radians.
        samples: Numbers of sampled depths, lateral beams and elevation planes.
    """

    position: np.ndarray
    axes: np.ndarray
    radius: float
    sweep: float
    depth: float
    half_lateral: float
    half_elevation: float
    samples: tuple[int, int, int] = (272, 88, 34)

    @classmethod
    def held(cls, anatomy: Pelvis, random: np.random.Generator) -> CurvedProbe:
        """Try positions until prostate and bladder are visible past bone and gas; return the best one."""
        best, best_share = None, -1.0
        for _ in range(MAX_TRIES):
            probe = cls._random_position(anatomy, random)
            share = probe._visible_share(anatomy)
            if share > best_share:
                best, best_share = probe, share
            if best_share >= GOOD_VISIBILITY:
                break
        assert best is not None
        return best

    @classmethod
    def _random_position(cls, anatomy: Pelvis, random: np.random.Generator) -> CurvedProbe:
        """Draw a position on the belly above the pubic bone, with angles and depths as operators use them."""
        u = random.uniform
        share = u(0.35, 0.8)
        aim = anatomy.prostate.centre * share + anatomy.bladder.centre * (1 - share) + random.normal(0, 6, 3)
        axes = (
            rotation_matrix(-u(20, 50), 0, 0)
            @ rotation_matrix(0, 0, u(-22, 22))
            @ rotation_matrix(u(-4, 4), u(-80, 80), u(-4, 4))
        )
        away = np.linspace(20, 260, 481)
        outside = anatomy.trunk.distance((aim[:, None] - away * axes[:, 1:2]).astype(np.float32)) > 0
        skin = away[np.argmax(outside)] - u(4, 8)  # pressed in: no air under the face
        depth = float(np.clip(skin + u(38, 62), 110, 165))
        angles = np.radians(u(31, 37)), np.radians(u(24, 30))
        return cls(aim - skin * axes[:, 1], axes, u(32, 45), u(22, 32), depth, *angles)

    def _visible_share(self, anatomy: Pelvis) -> float:
        """Return the visible share of prostate or bladder, the smaller one: in the sector, no bone or gas above."""
        coarse = replace(self, samples=(48, 24, 12))
        tissue = anatomy.tissue(coarse.in_patient(coarse.beams()))
        open_way = ~np.logical_or.accumulate(np.isin(tissue, OPAQUE), axis=0)
        depth, theta, phi = coarse.polar()
        area = (self.radius + depth) * (theta[1] - theta[0]) * (self.sweep + depth) * (phi[1] - phi[0])
        visible = structure_labels(tissue) * open_way
        shares = []
        for value, organ in ((PROSTATE, anatomy.prostate), (BLADDER, anatomy.bladder)):
            volume = ((visible == value).sum(axis=(1, 2)) * area).sum() * coarse.step
            shares.append(float(volume / (4 / 3 * np.pi * organ.radii.prod())))
        return min(shares)

    @property
    def step(self) -> float:
        """Return the distance in mm between samples along a beam."""
        return self.depth / (self.samples[0] - 1)

    def polar(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the sampled depths in mm, and lateral and elevation angles in radians."""
        d, lateral, elevation = self.samples
        return (
            np.linspace(0, self.depth, d, dtype=np.float32),
            np.linspace(-self.half_lateral, self.half_lateral, lateral, dtype=np.float32),
            np.linspace(-self.half_elevation, self.half_elevation, elevation, dtype=np.float32),
        )

    def beams(self) -> np.ndarray:
        """Return local coordinates (depths, lateral, elevation, 3) of the sampled points, in mm."""
        depth, theta, phi = np.meshgrid(*self.polar(), indexing="ij")
        from_array = self.radius + depth
        from_sweep = from_array * np.cos(theta) - self.radius + self.sweep
        x, y, z = from_array * np.sin(theta), from_sweep * np.cos(phi) - self.sweep, from_sweep * np.sin(phi)
        return np.stack([x, y, z], axis=-1)

    def index(self, local: np.ndarray) -> np.ndarray:
        """Return fractional sample indices (depth, lateral, elevation), (3, n), of local points (n, 3).

        Inverse of `beams`.
        """
        x, y, z = local.T
        from_sweep = np.hypot(y + self.sweep, z)
        axial = from_sweep + self.radius - self.sweep
        depth, theta, phi = np.hypot(x, axial) - self.radius, np.arctan2(x, axial), np.arctan2(z, y + self.sweep)
        d, lateral, elevation = self.samples
        return np.stack(
            [
                depth / self.depth * (d - 1),
                (theta / self.half_lateral + 1) / 2 * (lateral - 1),
                (phi / self.half_elevation + 1) / 2 * (elevation - 1),
            ]
        )

    def grid(self, spacing: tuple[float, float, float]) -> Grid:
        """Return a Cartesian grid in the probe's own coordinates that contains the whole sector; spacing in mm."""
        corners = self.beams()[:: self.samples[0] - 1]
        side = (self.radius + self.depth) * np.sin(self.half_lateral)
        sweep = (self.sweep + self.depth) * np.sin(self.half_elevation)
        low = np.array([-side, corners[..., 1].min(), -sweep])
        high = np.array([side, self.depth, sweep])
        affine = np.diag([*spacing, 1.0])
        shape = np.ceil((high - low) / spacing).astype(int) + 1
        affine[:3, 3] = (low + high) / 2 - (shape - 1) / 2 * spacing
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)

    def in_patient(self, local: np.ndarray) -> np.ndarray:
        """Convert local points (..., 3) to patient coordinates."""
        return local @ self.axes.T.astype(np.float32) + self.position.astype(np.float32)
