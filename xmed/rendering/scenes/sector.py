"""Ultrasound of a sector probe: beams from one apex through a drawn plane and back, with speckle and compression.

Lengths are in pixels of a picture 128 columns wide (`px` voxels each); arrays are (i lateral, j depth).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import log_uniform, smooth_noise

BEAMS = 96


@dataclass(frozen=True)
class Sector:
    """Geometry of the beams in a picture.

    Attributes:
        shape: Of the picture, (i, j).
        apex: Where all beams start, (i, j), above the picture.
        px: Voxels per pixel of a picture 128 columns wide.
    """

    shape: tuple[int, int]
    apex: tuple[float, float]
    px: float

    @classmethod
    def over(cls, fov: np.ndarray, random: np.random.Generator) -> Sector:
        """Lay a sector over the field of view, its apex 5 to 120 pixels above the picture."""
        px = fov.shape[0] / 128
        middle = float(np.argwhere(fov)[:, 0].mean()) if fov.any() else fov.shape[0] / 2
        return cls((fov.shape[0], fov.shape[1]), (middle, -random.uniform(5, 120) * px), px)

    def offsets(self) -> np.ndarray:
        """Return the offsets of all voxels from the apex, (2, i, j)."""
        i, j = np.indices(self.shape, dtype=np.float32)
        return np.stack([i - self.apex[0], j - self.apex[1]])

    def beam(self) -> np.ndarray:
        """Return unit vectors along the beam, (2, i, j)."""
        away = self.offsets()
        directions: np.ndarray = away / np.linalg.norm(away, axis=0)
        return directions

    def along(self, attenuation: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return the share of amplitude left at every pixel, accumulated along the beams on a polar grid, with shadows.

        Args:
            attenuation: Per pixel of path, (i, j).
            random: Random generator.
        """
        away = self.offsets()
        angle, far = np.arctan2(away[0], away[1]), np.linalg.norm(away, axis=0)
        angles = np.linspace(angle.min(), angle.max(), BEAMS, dtype=np.float32)
        steps = int(np.ceil((far.max() - far.min()) / self.px)) + 1
        reach = far.min() + np.arange(steps, dtype=np.float32) * self.px
        spots = [self.apex[0] + reach * np.sin(angles)[:, None], self.apex[1] + reach * np.cos(angles)[:, None]]
        polar = ndimage.map_coordinates(attenuation, spots, order=1, mode="constant")
        polar = np.exp(-np.cumsum(polar, axis=1) * random.uniform(0.5, 1.5))
        if random.random() < 0.5:
            polar *= _shadows(polar.shape, random)
        back = [(angle - angles[0]) / (angles[1] - angles[0]), (far - far.min()) / self.px]
        share: np.ndarray = ndimage.map_coordinates(polar, back, order=1, mode="nearest")
        return share

    def display(self, amplitude: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Convert echo amplitude to displayed grey values in [0, 1]: speckle, noise floor, log compression."""
        received = amplitude * (1 + random.uniform(0.15, 1) * (self._speckle(random) - 1))
        received = received * np.exp(random.uniform(-0.012, 0.012) * np.arange(self.shape[1]) / self.px)
        received = np.maximum(received, 0) + log_uniform(random, 1e-4, 4e-3) * np.abs(
            random.standard_normal(self.shape)
        )
        top = float(np.percentile(received, 99.5)) * log_uniform(random, 0.5, 2)
        decibel = 20 * np.log10(np.maximum(received, 1e-9) / max(top, 1e-9))
        display = np.clip(1 + decibel / random.uniform(32, 62), 0, 1) ** random.uniform(1, 3.2)
        grey: np.ndarray = ndimage.gaussian_filter(display, random.uniform(0.2, 0.6) * self.px).astype(np.float32)
        return grey

    def _speckle(self, random: np.random.Generator) -> np.ndarray:
        """Return fully developed speckle: a Rayleigh envelope, mean 1 (Wagner et al. 1983)."""
        sigma = random.uniform(0.4, 1.7) * self.px, random.uniform(0.3, 0.9) * self.px  # lateral, axial
        envelope = np.hypot(*(smooth_noise(random, self.shape, sigma) for _ in range(2)))
        relative: np.ndarray = envelope / envelope.mean()
        return relative


def _shadows(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Return the share of amplitude behind one to three obstacles, (beams, steps): some beams, from some depth on."""
    beams, steps = np.ogrid[: shape[0], : shape[1]]
    left = np.ones(shape, dtype=np.float32)
    for _ in range(int(random.integers(1, 4))):
        across = np.exp(-0.5 * ((beams - random.uniform(0, shape[0])) / random.uniform(2, 12)) ** 2)
        beyond = np.clip((steps - random.uniform(0, 0.7) * shape[1]) / 4, 0, 1)
        left *= 1 - random.uniform(0.3, 0.95) * across * beyond
    return left
