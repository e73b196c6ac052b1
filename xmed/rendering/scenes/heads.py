"""Fetal-head ultrasound drawn from a label map of a brain: skull line, brain, womb, one sector scan.

All ranges are those of a recipe that was measured (mean Dice 0.93 on real pictures, 100 cases, two seeds). They are
wide on purpose: the training set shall contain the target's scanner, not imitate it. The skull line and what lies
outside it matter most; plain ellipses instead of the anatomy scored the same, so this tells little about structures
inside the head. The mask is everything inside the skull's outer edge, as head circumference is measured (HC18, van den
Heuvel et al., PLOS ONE 2018). Lengths are in pixels of a picture 128 columns wide, amplitudes are relative.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.prepare import Sample
from xmed.rendering.labelled_anatomy import log_uniform, sigmoid, smooth_noise
from xmed.rendering.scenes.section import CrossSection, random_section
from xmed.rendering.scenes.sector import Sector

# FreeSurfer's ids (FreeSurferColorLUT.txt), grouped by how they echo.
TISSUE: dict[str, tuple[int, ...]] = {
    "white matter": (2, 41, 77, 85, 251, 252, 253, 254, 255),
    "cortex": (3, 42),
    "ventricle": (4, 5, 14, 15, 43, 44, 72),
    "fluid": (24, 257, 0),
    "choroid or vessel": (30, 31, 62, 63),
    "cerebellum and brainstem": (7, 8, 16, 46, 47),
    "deep grey": (10, 11, 12, 13, 17, 18, 26, 28, 49, 50, 51, 52, 53, 54, 58, 60),
}
T1 = {
    "white matter": 0.9, "cortex": 0.6, "ventricle": 0.15, "fluid": 0.2, "choroid or vessel": 0.5,
    "cerebellum and brainstem": 0.7, "deep grey": 0.75,
}  # fmt: skip
"""T1-weighted class means in order and rough distance: white matter > deep grey > cortex > fluid."""
NAMES = list(TISSUE)
CLASS = np.zeros(1024, dtype=np.uint8)
"""Index into `NAMES` by id. An id that no group lists counts as white matter, background as fluid."""


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


for _n, _ids in enumerate(TISSUE.values()):
    CLASS[list(_ids)] = _n


def draw(source: Sample, target: Sample, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a head as a transabdominal probe shows it: image float32 in [0, 1], label uint8, both (i, j, k)."""
    drawn = [_slice(source, target.fov[:, :, k], random) for k in range(target.fov.shape[2])]
    image, label = (np.stack(part, axis=2) for part in zip(*drawn))
    return image, label


def plain(source: Sample, target: Sample, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the same heads as T1-weighted MR would show them, without any ultrasound physics."""
    images, labels = [], []
    for k in range(target.fov.shape[2]):
        head = random_section(source, target.fov[:, :, k], random)
        px = head.mask.shape[0] / 128
        image = np.array([T1[name] for name in NAMES])[CLASS[head.ids.astype(int)]] * head.mask
        image[head.mask & (head.depth < 2.5 * px)] = 0.1  # bone
        image[~head.mask & (head.depth > -4 * px)] = 0.8  # scalp
        image = ndimage.gaussian_filter(image, 0.5 * px) + 0.03 * random.standard_normal(image.shape)
        images.append(image.astype(np.float32))
        labels.append((head.mask & target.fov[:, :, k]).astype(np.uint8))
    return np.stack(images, axis=2), np.stack(labels, axis=2)


def _slice(source: Sample, fov: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one picture and its label."""
    head, sector = random_section(source, fov, random), Sector.over(fov, random)
    base = log_uniform(random, 0.02, 0.25)
    skull, thickness = _skull(head, sector, random)
    echo = np.where(head.mask, _brain(head, base, sector.px, random), 0)
    womb, bright = draw_womb(head, base, sector.px, random)
    echo = np.where(head.mask, echo, womb)
    if random.random() < 0.5:
        echo = echo + _reverberation(head, sector, skull, random)
    attenuation = random.uniform(0, 0.012) * np.ones(fov.shape, dtype=np.float32)
    attenuation += log_uniform(random, 0.003, 0.12) * (np.abs(head.depth - thickness / 2) < thickness)
    if random.random() < 0.5:
        attenuation += random.uniform(0, 0.2) * bright / 10  # a wall of 10 px takes what the range says
    image = sector.display((echo + skull) * sector.along(attenuation, random), random)
    return image * fov, (head.mask & fov).astype(np.uint8)


def _skull(head: CrossSection, sector: Sector, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the amplitude of the skull's lines, brightest where sound meets it squarely, and its thickness."""
    thick = log_uniform(random, 1.2, 4.5) * float(np.clip(head.half / sector.px / 45, 0.6, 1.1)) * sector.px
    if random.random() < 0.6:
        lines = np.exp(-0.5 * ((head.depth - thick / 2) / (0.4 * thick)) ** 2)
    else:
        outer, inner = (
            np.exp(-0.5 * ((head.depth - position * thick) / (0.2 * thick)) ** 2) for position in (0.25, 1.0)
        )
        lines = outer + random.uniform(0.4, 1) * inner
    square = np.abs((head.normal() * sector.beam()).sum(0)) ** random.uniform(0.8, 5)
    least = random.uniform(0, 0.25)
    noise = smooth_noise(random, lines.shape, random.uniform(5, 12) * sector.px)
    visible = sigmoid(4 * (noise + random.uniform(0.2, 2.5)))  # drop-outs: sutures, shadowed parts
    return log_uniform(random, 0.25, 2.5) * lines * (least + (1 - least) * square) * visible, thick


def _brain(head: CrossSection, base: float, px: float, random: np.random.Generator) -> np.ndarray:
    """Return the echo amplitude of what lies inside the skull."""
    level = base * np.exp(random.normal(0, 0.5, len(NAMES)))
    white, cortex, ventricle, fluid, choroid = (NAMES.index(n) for n in list(TISSUE)[:5])
    level[ventricle] = base * log_uniform(random, 0.05, 0.7)
    level[fluid] = base * log_uniform(random, 0.1, 3)
    level[choroid] = base * log_uniform(random, 2, 10)
    if random.random() < 0.6:
        level[cortex] = level[white] * random.uniform(0.85, 1.15)  # a fetal cortex is hardly folded
    kind = CLASS[head.ids.astype(int)]
    echo: np.ndarray = ndimage.gaussian_filter(level[kind], 0.6 * px)
    if random.random() < 0.5:
        echo = echo * np.exp(random.uniform(0.2, 1) * smooth_noise(random, echo.shape, random.uniform(3, 10) * px))
    if random.random() < 0.5:  # pial echoes
        edge = ndimage.gaussian_gradient_magnitude(np.log(level[kind]), 0.8 * px)
        echo = echo + base * log_uniform(random, 0.3, 4) * edge
    if random.random() < 0.35:
        echo = _choroid_lobes(head, echo, base, level[ventricle], random)
    if random.random() < 0.75:
        echo = echo + base * log_uniform(random, 1, 15) * _midline(head, px, random)
    return echo


def _choroid_lobes(
    head: CrossSection, echo: np.ndarray, base: float, fluid: float, random: np.random.Generator
) -> np.ndarray:
    """Draw two large bright lobes beside the midline, each in a rim of fluid: the head before mid-gestation."""
    x0, y0 = random.uniform(-0.3, 0.3), random.uniform(0.3, 0.5)
    a, b = random.uniform(0.25, 0.5), random.uniform(0.12, 0.25)
    bright = base * log_uniform(random, 2, 10)
    for side in (-1, 1):
        away = np.hypot((head.x - x0) / a, (head.y - side * y0) / b)
        echo = np.where(away < random.uniform(1.1, 1.6), fluid, echo)
        echo = np.where(away < 1, bright, echo)
    return echo


def _midline(head: CrossSection, px: float, random: np.random.Generator) -> np.ndarray:
    """Draw the falx: a thin line from front to back, with a gap where the midline cavities are."""
    width = random.uniform(0.4, 1.2) * px / (head.half * 0.8)
    bow = random.normal(0, 0.03) * (1 - head.x**2)
    line: np.ndarray = np.exp(-0.5 * ((head.y - bow) / width) ** 2) * (np.abs(head.x) < random.uniform(0.8, 0.98))
    if random.random() < random.random():  # "gap p random"
        middle, half = random.uniform(-0.4, 0.4), random.uniform(0.1, 0.35)
        line = np.where(np.abs(head.x - middle) < half, 0, line)
    return line


def _reverberation(head: CrossSection, sector: Sector, skull: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw haze under the near skull, where sound is reflected repeatedly between bone and probe."""
    facing = np.clip(-(head.normal() * sector.beam()).sum(0), 0, 1)
    fog = np.exp(-np.maximum(head.depth, 0) / (random.uniform(4, 15) * sector.px)) * facing * head.mask
    texture = np.exp(0.5 * smooth_noise(random, fog.shape, (4 * sector.px, 1 * sector.px)))
    haze: np.ndarray = fog * texture * float(skull.max()) * log_uniform(random, 0.02, 0.3)
    return haze
