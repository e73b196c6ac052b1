"""One person's pelvis, drawn from a random generator, which tells the tissue at any point.

Points are in patient coordinates in mm, LPS+, with the origin near the middle of the prostate. Nothing here depends on
a scanner.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from xmed.phantom.pelvis_layout import MAX_BEND_SD_MM, PelvisLayout, TissueLayer
from xmed.phantom.shapes import Ellipsoid, PlaneWaves, Trunk
from xmed.phantom.tissue import Tissue, structure_labels

BLOCK = 24
"""Edge, in points, of a block that is evaluated at once: so small that most shapes do not reach into it."""


@dataclass(frozen=True, eq=False)
class Pelvis:
    """Anatomy of one person.

    Attributes:
        layers: All shapes from the skin inwards; later ones are laid over earlier ones.
        bend: Deformation, in mm.
        bumps: Surface roughness, in units of each layer's `rough`.
        trunk: The body's outline before the deformation.
        prostate: Before the deformation.
        bladder: Before the deformation.
        organs: How many of the last layers make up the segmented structures.
    """

    layers: tuple[TissueLayer, ...]
    bend: PlaneWaves
    bumps: PlaneWaves
    trunk: Trunk
    prostate: Ellipsoid
    bladder: Ellipsoid
    organs: int

    @classmethod
    def draw(cls, random: np.random.Generator, distractors: bool = False) -> Pelvis:
        """Draw a new person.

        Args:
            random: Random generator of the person.
            distractors: Whether to add cysts and masses made like bladder and prostate, which are not segmented.

        Returns:
            The person.
        """
        layout = PelvisLayout(random)
        around = [*layout.wall(), *layout.muscles(), *layout.bones(), *layout.vessels(), *layout.bowel()]
        if distractors:
            around += layout.distractors()
        organs = [*layout.rectum(), *layout.organs()]
        bend = PlaneWaves.draw(random, (70, 200), random.uniform(2.0, MAX_BEND_SD_MM), channels=3)
        bumps = PlaneWaves.draw(random, (18, 60), 1.0)
        return cls((*around, *organs), bend, bumps, layout.trunk, layout.prostate, layout.bladder, len(organs))

    def tissue(self, points: np.ndarray) -> np.ndarray:
        """Return the tissue at given points.

        Args:
            points: (a, b, c, 3) in mm, from any grid whose neighbours are neighbours in space.

        Returns:
            uint8 (a, b, c), values of `Tissue`.
        """
        return self._blockwise(points, self.layers)

    def structures(self, points: np.ndarray) -> np.ndarray:
        """Return label values (uint8, (a, b, c)) at the points (a, b, c, 3): as `tissue`, but from the organs alone."""
        return structure_labels(self._blockwise(points, self.layers[-self.organs :]))

    def _blockwise(self, points: np.ndarray, layers: tuple[TissueLayer, ...]) -> np.ndarray:
        """Evaluate layers at points (a, b, c, 3), block by block."""
        shape = points.shape[:3]
        tissue_at = np.empty(shape, dtype=np.uint8)
        for corner in itertools.product(*(range(0, n, BLOCK) for n in shape)):
            block = tuple(slice(c, c + BLOCK) for c in corner)
            block_points = points[block]
            flat = np.ascontiguousarray(block_points.reshape(-1, 3).T, dtype=np.float32)
            tissue_at[block] = self._painted(flat, layers).reshape(block_points.shape[:3])
        return tissue_at

    def _painted(self, points: np.ndarray, layers: tuple[TissueLayer, ...]) -> np.ndarray:
        """Evaluate layers at points (3, n); the last layer that contains a point decides on its tissue."""
        tissue_at = np.full(points.shape[1], Tissue.AIR, dtype=np.uint8)
        low, high = points.min(axis=1), points.max(axis=1)
        near = [layer for layer in layers if layer.touches(low, high)]
        if not near:
            return tissue_at
        points = points + self.bend(points)
        bumps = self.bumps(points)[0]
        for layer in near:
            distance = layer.shape.distance(points) + np.float32(layer.rough) * bumps
            free = np.isin(tissue_at, layer.within) if layer.within else None
            for limit, tissue in layer.tissues:
                mask = distance < limit
                tissue_at[mask if free is None else mask & free] = tissue
        return tissue_at
