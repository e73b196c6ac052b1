"""Change a volume slightly in intensity or pose, by so little that a good model gives the same result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.prepare import Sample

TURN_DEG, SHIFT = 6.0, 0.03
"""Largest rotation in the plane, and shift as a share of its edges: within what the augmentation of every training
draws.
"""


def change_intensities(case: Sample, random: np.random.Generator) -> Sample:
    """Return the same volume a little blurred, noisy, and with another gain."""
    image = ndimage.gaussian_filter(case.image, 0.5)
    image = image * random.uniform(0.85, 1.15) + random.uniform(-0.15, 0.15)
    image = image + random.normal(0, 0.1, image.shape)
    return Sample(case.case, np.where(case.fov, image, case.image).astype(np.float32), case.fov, case.grid)


@dataclass(frozen=True, eq=False)
class PlaneRotation:
    """A rotation and shift in the first two axes, for images and for label maps."""

    matrix: np.ndarray
    offset: np.ndarray

    @classmethod
    def draw(cls, case: Sample, random: np.random.Generator) -> PlaneRotation:
        """Draw a rotation and shift for a volume."""
        angle, spacing = np.deg2rad(random.uniform(-TURN_DEG, TURN_DEG)), np.diag(case.spacing)
        turn = np.eye(3)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = np.linalg.inv(spacing) @ turn @ spacing  # a turn in mm, whatever the voxels
        middle = (np.array(case.image.shape) - 1) / 2
        shift = random.uniform(-SHIFT, SHIFT, 3) * case.image.shape * (1, 1, 0)
        return cls(matrix, middle - matrix @ middle + shift)

    def image(self, case: Sample) -> Sample:
        """Rotate a volume; outside, its lowest intensity."""
        low, fov = float(case.image.min()), self.label(case.fov.astype(np.uint8)).astype(bool)
        image = ndimage.affine_transform(case.image, self.matrix, self.offset, order=1, cval=low)
        return Sample(case.case, np.where(fov, image, low).astype(np.float32), fov, case.grid)

    def label(self, label: np.ndarray) -> np.ndarray:
        """Rotate a label map (i, j, k)."""
        rotated: np.ndarray = ndimage.affine_transform(label, self.matrix, self.offset, order=0)
        return rotated
