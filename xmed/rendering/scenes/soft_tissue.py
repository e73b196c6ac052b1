"""Soft tissue in a picture: layers, streaks, fasciae and compartments, as echo power and as specular echoes.

Lengths are in pixels of a picture 128 columns wide (`px` voxels each); arrays are (i lateral, j depth).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import log_uniform, sigmoid, smooth_noise

CELL = 0.4
"""Standard deviation of the Gaussian whose noise varies over one pixel, as in `LabelledAnatomy.noise`."""


@dataclass(eq=False)
class SoftTissue:
    """Soft tissue in one picture.

    Attributes:
        echo: Scattered power, (i, j).
        shine: Amplitude of specular echoes, (i, j).
        warp: By how many voxels the layers lie deeper or higher, (i, j).
    """

    echo: np.ndarray
    shine: np.ndarray
    warp: np.ndarray

    def replace(self, inside: np.ndarray, echo: np.ndarray | float) -> None:
        """Put other material where `inside` is (0 to 1), and remove the specular echoes that were there."""
        self.echo += inside * (echo - self.echo)
        self.shine *= 1 - inside

    def streaks(self, px: float, random: np.random.Generator) -> np.ndarray:
        """Return short bright lines along the layers, in patches."""
        cell = log_uniform(random, 6, 40) * px, log_uniform(random, 1.5, 4.5) * px
        noise = self.bent(smooth_noise(random, self.echo.shape, (CELL * cell[0], CELL * cell[1])))
        lines = sigmoid(5 * (noise - random.uniform(0.8, 1.8)))
        amplitude: np.ndarray = log_uniform(random, 0.3, 4) * lines * patches(random, self.echo.shape, 25 * px)
        return amplitude

    def bent(self, flat: np.ndarray) -> np.ndarray:
        """Bend a picture of level layers as these layers run."""
        i, j = np.indices(flat.shape, dtype=np.float32)
        bent: np.ndarray = ndimage.map_coordinates(flat, [i, j + self.warp], order=1, mode="reflect")
        return bent


def draw_soft_tissue(shape: tuple[int, int], px: float, random: np.random.Generator) -> SoftTissue:
    """Draw soft tissue without any organ in it."""
    grain = CELL * log_uniform(random, 6, 40) * px, CELL * log_uniform(random, 4, 20) * px  # lateral, depth
    echo = np.exp(random.uniform(0.1, 0.5) * smooth_noise(random, shape, grain))
    tissue = SoftTissue(echo, np.zeros(shape, dtype=np.float32), _warp(shape, px, random))
    _layers(tissue, px, random)
    for _ in range(int(random.integers(1, 5))):
        tissue.shine += tissue.streaks(px, random)
    for _ in range(int(random.integers(0, 3))):
        tissue.echo *= 1 + (log_uniform(random, 0.04, 1.5) - 1) * patches(random, shape, random.uniform(15, 40) * px)
    for _ in range(int(random.integers(1, 4))):
        tissue.shine += _fascia(shape, px, random)
    for _ in range(int(random.integers(0, 3))):
        tissue.echo *= 1 + random.uniform(0, 3) * patches(random, shape, random.uniform(10, 25) * px)
    return tissue


def patches(random: np.random.Generator, shape: tuple[int, ...], cell: float) -> np.ndarray:
    """Draw soft-edged regions in [0, 1] that cover a random share of the picture."""
    return sigmoid(5 * (smooth_noise(random, shape, CELL * cell) - random.uniform(-1, 1)))


def _warp(shape: tuple[int, int], px: float, random: np.random.Generator) -> np.ndarray:
    waves = random.uniform(1, 10) * px * smooth_noise(random, shape, CELL * random.uniform(25, 90) * px)
    tilt = random.uniform(-0.3, 0.3) if random.random() < 0.5 else 0.0
    return (waves + tilt * (np.arange(shape[0])[:, None] - shape[0] / 2)).astype(np.float32)


def _layers(tissue: SoftTissue, px: float, random: np.random.Generator) -> None:
    """Draw two to six layers of different levels, most with a bright line between them."""
    depth = np.arange(tissue.echo.shape[1]) + tissue.warp
    top = np.sort(random.uniform(6, 120, int(random.integers(1, 6)))) * px * tissue.echo.shape[1] / tissue.echo.shape[0]
    level = np.array([log_uniform(random, 0.12, 1.6) for _ in range(len(top) + 1)])
    tissue.echo *= ndimage.gaussian_filter(level[np.searchsorted(top, depth)], 0.7 * px).astype(np.float32)
    for position in top:
        if random.random() < 0.75:
            line = np.exp(-0.5 * ((depth - position) / (random.uniform(0.3, 1) * px)) ** 2)
            tissue.shine += log_uniform(random, 0.4, 3) * line * patches(random, tissue.echo.shape, 25 * px)


def _fascia(shape: tuple[int, int], px: float, random: np.random.Generator) -> np.ndarray:
    """Draw a curved sheet: the zero set of smooth noise, bright where the sound meets it squarely."""
    field = smooth_noise(random, shape, CELL * random.uniform(25, 70) * px)
    i, j = np.gradient(field)
    steep = np.maximum(np.hypot(i, j), 1e-6)
    line = np.exp(-0.5 * (field / steep / (random.uniform(0.3, 0.8) * px)) ** 2)
    amplitude: np.ndarray = log_uniform(random, 0.4, 2.5) * line * np.abs(j) / steep * patches(random, shape, 30 * px)
    return amplitude
