"""Ultrasound of a linear probe: straight down through drawn tissue and back, with speckle, artefacts, log compression.

Lengths are in pixels of a picture 128 columns wide (`px` voxels each); arrays are (i lateral, j depth, probe at 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import log_uniform, sigmoid, smooth_noise
from xmed.rendering.scenes.soft_tissue import SoftTissue


@dataclass(eq=False)
class Beam:
    """Attenuation of sound in one picture.

    Attributes:
        loss: Amplitude attenuation per voxel of depth beyond what the scanner's time-gain compensation expects;
            negative in blood, (i, j).
        left: Share of the intensity that bone, shadows and lost contact leave, (i, j).
        px: Voxels per pixel of a picture 128 columns wide.
    """

    loss: np.ndarray
    left: np.ndarray
    px: float

    @classmethod
    def into(cls, shape: tuple[int, int], px: float, random: np.random.Generator) -> Beam:
        """Start with soft tissue whose columns are shaded by what lies above the picture."""
        loss = np.full(shape, random.uniform(0.001, 0.008) / px, dtype=np.float32)
        left = np.exp(random.uniform(-3.2, 0.6) * np.linspace(0, 1, shape[1], dtype=np.float32))  # residual gain
        left = np.tile(left, (shape[0], 1))
        if random.random() < 0.5:
            shade = np.clip(smooth_noise(random, (shape[0], 1), (random.uniform(2, 12) * px, 0)), 0, None)
            below = sigmoid((np.arange(shape[1]) - random.uniform(0, 0.5) * shape[1]) / (3 * px))
            left *= np.exp(-log_uniform(random, 0.2, 2) * shade * below)
        return cls(loss, left, px)

    def lose_contact(self, random: np.random.Generator) -> np.ndarray:
        """Lift one side of the probe off the skin in a quarter of the calls. Return where, bool (i, j)."""
        shape = self.left.shape
        if random.random() > 0.25:
            return np.zeros(shape, dtype=bool)
        off = random.uniform(0, 0.3) * shape[0] - np.arange(shape[0], dtype=np.float32)
        side = off[:: random.choice([-1, 1]), None]
        self.left *= np.exp(-log_uniform(random, 2, 7) * sigmoid(side / (random.uniform(1, 5) * self.px)))
        return np.broadcast_to(side > 0, shape)

    def returned(self) -> np.ndarray:
        """Return the share of the echo's intensity that comes back from every pixel, there and back."""
        share: np.ndarray = (
            np.exp(-4 * ndimage.gaussian_filter1d(np.cumsum(self.loss, axis=1), self.px, axis=0)) * self.left
        )
        return share


def display_linear(scene: SoftTissue, beam: Beam, random: np.random.Generator) -> np.ndarray:
    """Convert tissue to grey values in [0, 1] as a scanner shows them, float32 (i, j)."""
    px, shape = beam.px, scene.echo.shape
    mirror = ndimage.gaussian_filter(scene.shine, (random.uniform(0.6, 1.5) * px, random.uniform(0.2, 0.5) * px)) ** 2
    intensity = (_speckle(scene.echo, px, random) + log_uniform(random, 1, 10) * mirror) * beam.returned()
    intensity += _near(shape, px, random)
    noise = random.standard_normal((2, *shape), dtype=np.float32)
    floor = ndimage.gaussian_filter((noise**2).sum(0) / 2, 0.4 * px)
    return _compressed(intensity + 3 * log_uniform(random, 1e-5, 3e-3) * floor, px, random)


def _speckle(echo: np.ndarray, px: float, random: np.random.Generator) -> np.ndarray:
    """Return the intensity of fully developed speckle, 3 to 13 looks averaged, sharpest at the focus.

    A look is a complex Gaussian field filtered by the point spread (Wagner et al., IEEE Trans. Sonics Ultrason. 1983).
    """
    looks = int(random.integers(3, 14))
    scatter = random.standard_normal((2 * looks, *echo.shape), dtype=np.float32) * np.sqrt(np.maximum(echo, 0))
    axial, sharp, broad = random.uniform(0.35, 0.8) * px, random.uniform(0.6, 1.5) * px, random.uniform(1.1, 2.8) * px
    away = np.abs(np.arange(echo.shape[1]) / px - random.uniform(20, 70)) / 60
    away = np.clip(away, 0, 1).astype(np.float32)
    field = np.zeros_like(scatter)
    for lateral, share in ((sharp, 1 - away), (broad, away)):
        unit = 2 * np.sqrt(np.pi * axial * lateral)  # gives white noise unit variance again
        field += np.sqrt(share) * unit * ndimage.gaussian_filter(scatter, (0, lateral, axial), truncate=2.5)
    intensity: np.ndarray = (field**2).sum(0) / (2 * looks)
    return intensity


def _near(shape: tuple[int, int], px: float, random: np.random.Generator) -> np.ndarray:
    """Return intensity that no tissue gives: bright rows under the probe, and repeated echoes within the skin."""
    depth = np.arange(shape[1], dtype=np.float32) / px
    rows = log_uniform(random, 0.1, 5) * np.exp(-((depth / random.uniform(0.8, 4)) ** 2))
    if random.random() < 0.4:
        apart = random.uniform(4, 14)
        rows += (
            log_uniform(random, 0.02, 1)
            * np.exp(-depth / random.uniform(5, 20))
            * (0.5 + 0.5 * np.cos(2 * np.pi * depth / apart)) ** random.uniform(2, 8)
        )
    artefact: np.ndarray = rows * np.exp(0.3 * smooth_noise(random, (shape[0], 1), (6 * px, 0)))
    return artefact


def _compressed(intensity: np.ndarray, px: float, random: np.random.Generator) -> np.ndarray:
    """Apply log compression with a random dynamic range, the display curve, and smoothing or sharpening."""
    top = np.percentile(intensity, random.uniform(97.5, 99.8))
    decibel = 10 * np.log10(np.maximum(intensity, 1e-12) / max(float(top), 1e-12))
    display = np.clip(1 + decibel / random.uniform(36, 66), 0, 1) ** random.uniform(1.6, 4)
    if random.random() < 0.6:
        smooth = ndimage.gaussian_filter(display, random.uniform(0.4, 1.0) * px)
        display = smooth if random.random() < 0.5 else display + random.uniform(0.2, 1) * (display - smooth)
    grey: np.ndarray = np.clip(display, 0, 1).astype(np.float32)
    return grey
