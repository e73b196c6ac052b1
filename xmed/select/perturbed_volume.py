"""Perturb a volume slightly in intensity or pose, as a reader and a good model would not notice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.prepare import Sample

TURN_DEG, SHIFT = 6.0, 0.03
"""Largest turn in the plane, and shift as a share of its edges: within what every training's augmentation draws."""


def relit(case: Sample, random: np.random.Generator) -> Sample:
    """The same volume a little blurred, noisy, and of other gain."""
    image = ndimage.gaussian_filter(case.image, 0.5)
    image = image * random.uniform(0.85, 1.15) + random.uniform(-0.15, 0.15)
    image = image + random.normal(0, 0.1, image.shape)
    return Sample(case.case, np.where(case.fov, image, case.image).astype(np.float32), case.fov, case.grid)


@dataclass(frozen=True, eq=False)
class Turn:
    """A turn and shift in the first two axes: of images, and of the labels that were found before it."""

    matrix: np.ndarray
    offset: np.ndarray

    @classmethod
    def draw(cls, case: Sample, random: np.random.Generator) -> Turn:
        angle, spacing = np.deg2rad(random.uniform(-TURN_DEG, TURN_DEG)), np.diag(case.spacing)
        turn = np.eye(3)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = np.linalg.inv(spacing) @ turn @ spacing  # a turn in mm, whatever the voxels
        middle = (np.array(case.image.shape) - 1) / 2
        shift = random.uniform(-SHIFT, SHIFT, 3) * case.image.shape * (1, 1, 0)
        return cls(matrix, middle - matrix @ middle + shift)

    def image(self, case: Sample) -> Sample:
        low, fov = float(case.image.min()), self.label(case.fov.astype(np.uint8)).astype(bool)
        image = ndimage.affine_transform(case.image, self.matrix, self.offset, order=1, cval=low)
        return Sample(case.case, np.where(fov, image, low).astype(np.float32), fov, case.grid)

    def label(self, label: np.ndarray) -> np.ndarray:
        return ndimage.affine_transform(label, self.matrix, self.offset, order=0)
