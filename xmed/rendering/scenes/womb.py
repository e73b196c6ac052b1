"""What lies around a fetal head in a picture: fluid, walls, limbs and placenta. For the ranges see `heads`."""

from __future__ import annotations

import numpy as np

from xmed.rendering.labelled_anatomy import log_uniform, sigmoid, smooth_noise
from xmed.rendering.scenes.section import CrossSection


def draw_womb(head: CrossSection, base: float, px: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the echo amplitude (i, j) outside the head, and how much of each pixel is bright tissue, in [0, 1].

    Args:
        head: Where the head lies.
        base: Level of the brain's echo.
        px: Voxels per pixel of a picture 128 columns wide.
        random: Random generator.
    """
    shape = (head.rho.shape[0], head.rho.shape[1])
    fluid, tissue = log_uniform(random, 0.001, 0.05), base * log_uniform(random, 0.5, 8)
    solid = _tissue(shape, px, random)
    layers = smooth_noise(random, shape, (random.uniform(4, 15) * px, random.uniform(0.6, 2.5) * px))
    patches = smooth_noise(random, shape, random.uniform(4, 12) * px)
    texture = np.exp(random.uniform(0.1, 0.8) * layers + random.uniform(0.1, 0.7) * patches)
    echo = fluid + (tissue * texture - fluid) * solid
    if random.random() < 0.6:
        echo = echo + tissue * log_uniform(random, 1, 8) * _walls(shape, px, random)
    for _ in range(int(random.integers(0, 4))):
        echo, solid = _distractor(echo, solid, fluid, tissue, px, random)
    if random.random() < 0.6:  # scalp, and the wall that a head leans against
        width = random.uniform(1.5, 6) * px
        scalp = sigmoid((head.depth + width) / (0.4 * px)) * log_uniform(random, 0.3, 1.5)
        echo = np.maximum(echo, tissue * texture * scalp)
    return echo, np.clip(solid, 0, 1)


def _tissue(shape: tuple[int, int], px: float, random: np.random.Generator) -> np.ndarray:
    """Draw tissue in [0, 1]: everywhere, or as wavy bands at the near and far wall with blobs between them."""
    if random.random() < 0.25:
        return np.ones(shape, dtype=np.float32)
    depth = np.arange(shape[1], dtype=np.float32)[None, :]
    waves = smooth_noise(random, (shape[0], 2), (random.uniform(8, 30) * px, 0)) * random.uniform(1, 8) * px
    near, far = random.uniform(-0.1, 0.35) * shape[1], (1 - random.uniform(-0.1, 0.35)) * shape[1]
    soft = random.uniform(0.5, 2) * px
    bands = sigmoid((near + waves[:, :1] - depth) / soft) + sigmoid((depth - far - waves[:, 1:]) / soft)
    if random.random() < 0.6:
        blobs = smooth_noise(random, shape, random.uniform(6, 14) * px)
        bands = np.maximum(bands, sigmoid((blobs - random.uniform(0, 1.5)) * 8))
    tissue: np.ndarray = np.clip(bands, 0, 1)
    return tissue


def _walls(shape: tuple[int, int], px: float, random: np.random.Generator) -> np.ndarray:
    """Draw one to four bright lines across the picture, as the layers of a belly and a womb lie."""
    depth, lines = np.arange(shape[1], dtype=np.float32)[None, :], np.zeros(shape, dtype=np.float32)
    for _ in range(int(random.integers(1, 5))):
        wave = smooth_noise(random, (shape[0], 1), (random.uniform(12, 40) * px, 0)) * random.uniform(1, 8) * px
        tilt = (np.arange(shape[0])[:, None] - shape[0] / 2) * random.normal(0, 0.15)
        position = random.uniform(0, 1) * shape[1] + wave + tilt
        visible = sigmoid(3 * (smooth_noise(random, shape, 10 * px) + random.uniform(0, 1.5)))
        lines += np.exp(-0.5 * ((depth - position) / (random.uniform(0.5, 1.6) * px)) ** 2) * visible
    return lines


def _distractor(
    echo: np.ndarray, solid: np.ndarray, fluid: float, tissue: float, px: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a limb, a trunk or a fold: an ellipse, dark or bright inside, with or without a rim."""
    i, j = np.indices(echo.shape, dtype=np.float32)
    i, j = i - random.uniform(0, echo.shape[0]), j - random.uniform(0, echo.shape[1])
    angle, radius = random.uniform(0, np.pi), random.uniform(3, 22) * px
    across = radius * random.uniform(0.4, 1)
    away = np.hypot((np.cos(angle) * i + np.sin(angle) * j) / radius, (-np.sin(angle) * i + np.cos(angle) * j) / across)
    inside = sigmoid((1 - away) * across / (0.6 * px))
    level = tissue * log_uniform(random, 0.2, 2) if random.random() < 0.6 else fluid * log_uniform(random, 0.5, 4)
    echo = echo + inside * (level - echo)
    if random.random() < 0.6:
        rim = np.exp(-0.5 * ((1 - away) * across / (random.uniform(0.6, 1.6) * px)) ** 2)
        echo = echo + tissue * log_uniform(random, 0.5, 6) * rim
    return echo, solid * (1 - inside) + inside * (level > 2 * fluid)
