"""Pelvis: one person's pelvis, drawn from a random generator and asked for its tissue at any point.

Points are in patient millimetres, LPS+, near the middle of the prostate. Nothing here knows any scanner.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from xmed.phantom.pelvis_layout import MAX_BEND_SD_MM, PelvisLayout, TissueLayer
from xmed.phantom.shapes import Ellipsoid, PlaneWaves, Trunk
from xmed.phantom.tissue import Tissue, structure_labels

BLOCK = 24
"""Points per edge of what is painted together: so few that most shapes do not touch their box."""


@dataclass(frozen=True, eq=False)
class Pelvis:
    """coats: from the skin inwards, later over earlier; the last `organs` of them make the structures.

    bend, bumps: deformation, surface roughness in mm. trunk, prostate, bladder: where they are before the deformation.
    """

    coats: tuple[TissueLayer, ...]
    bend: PlaneWaves
    bumps: PlaneWaves
    trunk: Trunk
    prostate: Ellipsoid
    bladder: Ellipsoid
    organs: int

    @classmethod
    def draw(cls, random: np.random.Generator) -> Pelvis:
        """A new person."""
        sketch = PelvisLayout(random)
        around = [*sketch.wall(), *sketch.muscles(), *sketch.bones(), *sketch.vessels(), *sketch.bowel()]
        organs = [*sketch.rectum(), *sketch.organs()]
        bend = PlaneWaves.draw(random, (70, 200), random.uniform(2.0, MAX_BEND_SD_MM), channels=3)
        bumps = PlaneWaves.draw(random, (18, 60), 1.0)
        return cls((*around, *organs), bend, bumps, sketch.trunk, sketch.prostate, sketch.bladder, len(organs))

    def tissue(self, points: np.ndarray) -> np.ndarray:
        """Tissue (uint8, (a, b, c)) at the points (a, b, c, 3) of any grid whose neighbours are neighbours in space."""
        return self._blockwise(points, self.coats)

    def structures(self, points: np.ndarray) -> np.ndarray:
        """Label values (uint8, (a, b, c)) at the points (a, b, c, 3): what `tissue` says, from the organs alone."""
        return structure_labels(self._blockwise(points, self.coats[-self.organs :]))

    def _blockwise(self, points: np.ndarray, coats: tuple[TissueLayer, ...]) -> np.ndarray:
        shape = points.shape[:3]
        out = np.empty(shape, dtype=np.uint8)
        for corner in itertools.product(*(range(0, n, BLOCK) for n in shape)):
            block = tuple(slice(c, c + BLOCK) for c in corner)
            some = points[block]
            flat = np.ascontiguousarray(some.reshape(-1, 3).T, dtype=np.float32)
            out[block] = self._painted(flat, coats).reshape(some.shape[:3])
        return out

    def _painted(self, points: np.ndarray, coats: tuple[TissueLayer, ...]) -> np.ndarray:
        out = np.full(points.shape[1], Tissue.AIR, dtype=np.uint8)
        low, high = points.min(axis=1), points.max(axis=1)
        near = [coat for coat in coats if coat.touches(low, high)]
        if not near:
            return out
        points = points + self.bend(points)
        bumps = self.bumps(points)[0]
        for coat in near:
            distance = coat.shape.distance(points) + np.float32(coat.rough) * bumps
            free = np.isin(out, coat.within) if coat.within else None
            for limit, tissue in coat.paint:
                mask = distance < limit
                out[mask if free is None else mask & free] = tissue
        return out
