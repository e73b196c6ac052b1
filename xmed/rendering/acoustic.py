"""B-mode ultrasound from labelled anatomy: echoes, speckle, shadows, gain, log compression.

The beam runs along one array axis. Parameter ranges are wide on purpose: the training set shall contain the target's
scanner and its settings, not imitate them. Lengths are in mm, attenuation is per mm of path.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import LabelledAnatomy, log_uniform, sigmoid

MODALITIES = ("US", "IVUS")


def render(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return log-compressed echo amplitude in [0, 1], float32 (i, j, k)."""
    axis, sign = anatomy.probe
    order = [axis, *(a for a in range(3) if a != axis)]  # depth first
    flip = (slice(None, None, sign), slice(None), slice(None))
    turned = LabelledAnatomy(
        anatomy.image.transpose(order)[flip],
        anatomy.label.transpose(order)[flip],
        anatomy.fov.transpose(order)[flip],
        (anatomy.spacing[order[0]], anatomy.spacing[order[1]], anatomy.spacing[order[2]]),
        fluid=anatomy.fluid,
    )
    back = np.argsort(order)
    return np.ascontiguousarray(_scan(turned, random)[flip].transpose(back))


def _scan(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Scan one volume with depth along its first axis and the probe at index 0."""
    echo, attenuation = _medium(anatomy, random)
    amplitude = _speckle(anatomy, random, echo) + _interfaces(anatomy, random) * float(np.sqrt(np.median(echo)))
    depth = np.cumsum(anatomy.fov, axis=0, dtype=np.float32) * anatomy.spacing[0]  # mm since the sound entered
    path = np.cumsum(attenuation * anatomy.fov, axis=0, dtype=np.float32) * anatomy.spacing[0]
    loss = ndimage.gaussian_filter1d(path, anatomy.voxels(random.uniform(1, 4))[1], axis=1)
    # The scanner's time-gain compensation undoes what soft tissue takes, more or less well: fluid is over-compensated.
    gain = depth * float(np.median(attenuation)) * random.uniform(0.7, 1.3) + depth * random.uniform(-0.004, 0.004)
    amplitude *= np.exp(gain - loss) * _contact(anatomy, random, depth)
    amplitude += _haze(anatomy, random, depth) + np.median(amplitude) * log_uniform(random, 1e-3, 0.1)
    return _compress(anatomy, random, amplitude)


def _medium(anatomy: LabelledAnatomy, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return scattered power and amplitude attenuation (per mm) of every voxel."""
    body = anatomy.body()
    smooth = anatomy.smooth(anatomy.image, 1.0)
    knots = np.linspace(0, 1, int(random.integers(3, 7)))
    echo = np.interp(smooth, knots, 10 ** (random.normal(0, 5, len(knots)) / 10)).astype(np.float32)
    # Beyond the skin, and beyond what the source scanner saw, there is unlabelled tissue.
    echo = body * echo + (1 - body) * 10 ** (random.normal(0, 4) / 10)
    echo *= np.exp(random.uniform(0, 0.7) * anatomy.noise(random, log_uniform(random, 4, 25)))
    soft = random.uniform(0.006, 0.03)
    attenuation = np.full(anatomy.shape, soft, dtype=np.float32)
    dark = (smooth < random.uniform(0.05, 0.2)) & (anatomy.label == 0) & (body > 0.9)
    if random.random() < 0.7:  # dark in MR is bone, gas or fluid, which differ greatly in ultrasound
        echo[dark] = log_uniform(random, 0.01, 4)
        attenuation[dark] = soft * (
            log_uniform(random, 5, 40) if random.random() < 0.6 else log_uniform(random, 0.1, 5)
        )
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        _organ(anatomy, random, int(value), echo, attenuation, soft)
    return echo, attenuation


def _organ(
    anatomy: LabelledAnatomy,
    random: np.random.Generator,
    value: int,
    echo: np.ndarray,
    attenuation: np.ndarray,
    soft: float,
) -> None:
    """Draw one labelled structure in place: fluid (no echo, no loss), or tissue a little darker or brighter."""
    mask = anatomy.label == value
    fluid = anatomy.fluid[value] if value in anatomy.fluid else _fluidity(anatomy, mask)
    odds = [fluid, *((1 - fluid) * np.array([0.6, 0.15, 0.25]))]
    kind = random.choice(["fluid", "hypoechoic", "hyperechoic", "as its signal"], p=odds)
    edge = anatomy.smooth(mask, random.uniform(0.5, 1.5))
    rim = edge * (1 - edge)
    around = float(np.median(echo[anatomy.around(mask)]))
    if kind == "fluid":
        level, own_attenuation = random.uniform(-45, -15), soft * random.uniform(0.0, 0.2)
        edge = anatomy.smooth(_lumen(anatomy, mask), random.uniform(0.5, 1.2))  # the wall is not fluid
    else:
        level = random.uniform(-12, -2) if kind == "hypoechoic" else random.uniform(2, 8)
        own_attenuation = soft * random.uniform(0.5, 1.5)
    if kind != "as its signal":
        inner = echo / max(float(echo[mask].mean()), 1e-6) if random.random() < 0.4 else 1.0
        echo += edge * (around * 10 ** (level / 10) * inner - echo)
    attenuation[mask] = own_attenuation
    if random.random() < 0.5:  # capsule or wall
        echo += around * log_uniform(random, 0.3, 8) * 4 * rim


def _fluidity(anatomy: LabelledAnatomy, mask: np.ndarray) -> float:
    """Estimate how likely a structure is fluid from its signal in the source.

    Fluid is homogeneous in every modality, so its signal varies little. Variation is 1.48 times the median absolute
    deviation, over the median, deep inside the structure: a wall or a stone does not count.
    """
    deep = anatomy.smooth(mask, 2.0) > 0.95
    signal = anatomy.image[deep if deep.any() else mask]
    middle = float(np.median(signal))
    variation = 1.48 * float(np.median(np.abs(signal - middle))) / max(middle, 1e-3)
    return 0.04 + 0.88 * float(sigmoid(np.array((0.1 - variation) / 0.02)))


def _lumen(anatomy: LabelledAnatomy, mask: np.ndarray) -> np.ndarray:
    """Return the part of a structure whose source signal is that of its middle: the fluid without the wall."""
    deep = anatomy.smooth(mask, 2.0) > 0.95
    lumen: np.ndarray = mask & (np.abs(anatomy.image - np.median(anatomy.image[deep if deep.any() else mask])) < 0.2)
    return lumen


def _contact(anatomy: LabelledAnatomy, random: np.random.Generator, depth: np.ndarray) -> np.ndarray:
    """Return the share of amplitude that reaches each voxel in sectors with lost contact, bone or gas above them."""
    through = np.ones(anatomy.shape, dtype=np.float32)
    across, along = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in anatomy.shape[1:]), indexing="ij")
    for _ in range(int(random.choice([0, 1, 2], p=[0.4, 0.4, 0.2]))):
        angle = random.normal(0, 0.5) + (np.pi if random.random() < 0.5 else 0)
        beyond = across * np.cos(angle) + along * np.sin(angle) - random.uniform(0.1, 0.9)
        shaded = sigmoid(beyond / random.uniform(0.02, 0.2)) * sigmoid((depth - random.uniform(-10, 60)) / 4)
        through *= np.exp(-shaded * log_uniform(random, 0.3, 6))
    return through


def _speckle(anatomy: LabelledAnatomy, random: np.random.Generator, echo: np.ndarray) -> np.ndarray:
    """Return the speckled echo amplitude: the envelope of many scatterers per cell, laterally blurred with depth.

    A voxel of the network's grid often covers several cells. Their average has the mean of Rayleigh speckle and less of
    its contrast (Wagner et al., IEEE Trans. Sonics Ultrason. 1983).
    """
    scatter = random.standard_normal((2, *anatomy.shape), dtype=np.float32)
    axial = anatomy.voxels(random.uniform(0.4, 1.2))[0]
    near, far = random.uniform(0.9, 2.0), random.uniform(1.5, 5.0)
    sharp, broad = (
        ndimage.gaussian_filter(scatter, (0, axial, *anatomy.voxels(lateral)[1:]), truncate=2.5)
        for lateral in (near, far)
    )
    depth = np.linspace(0, 1, anatomy.shape[0], dtype=np.float32)[:, None, None]
    field = sharp * np.sqrt(1 - depth) / max(float(sharp.std()), 1e-6)
    field += broad * np.sqrt(depth) / max(float(broad.std()), 1e-6)
    envelope = np.sqrt((field**2).sum(0))
    contrast = log_uniform(random, 0.15, 1.0)
    amplitude: np.ndarray = np.sqrt(np.maximum(echo, 0)) * (
        1 + contrast * (envelope / max(float(envelope.mean()), 1e-6) - 1)
    )
    return amplitude


def _interfaces(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return specular echoes where the medium changes along the beam: by source intensity, and at labelled surfaces."""
    strength = random.uniform(0, 4) * np.abs(np.gradient(anatomy.smooth(anatomy.image, 1.0), axis=0))
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        surface = anatomy.smooth(anatomy.label == value, 1.0)
        strength = strength + random.uniform(0, 5) * np.abs(np.gradient(surface, axis=0))
    echoes: np.ndarray = strength * np.exp(random.uniform(0, 0.8) * anatomy.noise(random, 8.0))
    return echoes


def _haze(anatomy: LabelledAnatomy, random: np.random.Generator, depth: np.ndarray) -> np.ndarray:
    """Return clutter and reverberation: haze near the probe, which also lies over fluid."""
    if random.random() < 0.5:
        return np.zeros(anatomy.shape, dtype=np.float32)
    fog = np.exp(-depth / log_uniform(random, 8, 50)) * log_uniform(random, 0.02, 0.6)
    return fog * np.exp(random.uniform(0, 0.7) * anatomy.noise(random, 6.0))


def _compress(anatomy: LabelledAnatomy, random: np.random.Generator, amplitude: np.ndarray) -> np.ndarray:
    """Apply log compression with a random dynamic range, then a random display curve."""
    top = np.percentile(amplitude[anatomy.fov], random.uniform(97, 99.9)) if anatomy.fov.any() else 1.0
    decibel = 20 * np.log10(np.maximum(amplitude, 1e-9) / max(float(top) * log_uniform(random, 0.7, 1.5), 1e-9))
    display = np.clip(1 + decibel / random.uniform(36, 65), 0, 1) ** random.uniform(0.7, 1.8)
    displayed: np.ndarray = ndimage.gaussian_filter(display, random.uniform(0, 0.6)).astype(np.float32)
    return displayed
