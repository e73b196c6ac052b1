"""Acoustic: B-mode ultrasound from labelled anatomy: echoes, speckle, shadows, gain, compression.

The beam runs along one array axis. Ranges are wide on purpose: the training set is to contain the target's scanner and
its settings, not to be it. Lengths are in mm, attenuation per mm of path.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.appearance.anatomy import Anatomy, log_uniform, sigmoid

MODALITIES = ("US", "IVUS")


def render(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """Log-compressed echo amplitude in [0, 1], float32 (i, j, k)."""
    axis, sign = anatomy.probe
    order = [axis, *(a for a in range(3) if a != axis)]  # depth first
    flip = (slice(None, None, sign), slice(None), slice(None))
    turned = Anatomy(
        anatomy.image.transpose(order)[flip],
        anatomy.label.transpose(order)[flip],
        anatomy.fov.transpose(order)[flip],
        (anatomy.spacing[order[0]], anatomy.spacing[order[1]], anatomy.spacing[order[2]]),
    )
    back = np.argsort(order)
    return np.ascontiguousarray(_scan(turned, random)[flip].transpose(back))


def _scan(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """One volume with depth along its first axis, the probe at index 0."""
    echo, attenuation = _medium(anatomy, random)
    amplitude = _speckle(anatomy, random, echo) + _interfaces(anatomy, random) * float(np.sqrt(np.median(echo)))
    depth = np.cumsum(anatomy.fov, axis=0, dtype=np.float32) * anatomy.spacing[0]  # mm since the sound entered
    path = np.cumsum(attenuation * anatomy.fov, axis=0, dtype=np.float32) * anatomy.spacing[0]
    loss = ndimage.gaussian_filter1d(path, anatomy.voxels(random.uniform(1, 4))[1], axis=1)
    # The scanner's time-gain compensation undoes what soft tissue takes, more or less well: fluid is over-compensated.
    gain = depth * float(np.median(attenuation)) * random.uniform(0.7, 1.3) + depth * random.uniform(-0.004, 0.004)
    amplitude *= np.exp(gain - loss)
    amplitude += _haze(anatomy, random, depth) + np.median(amplitude) * log_uniform(random, 1e-3, 0.1)
    return _compress(anatomy, random, amplitude)


def _medium(anatomy: Anatomy, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scattered power and amplitude attenuation (per mm) of every voxel."""
    body = anatomy.body()
    smooth = anatomy.smooth(anatomy.image, 1.0)
    knots = np.linspace(0, 1, int(random.integers(3, 7)))
    echo = np.interp(smooth, knots, 10 ** (random.normal(0, 5, len(knots)) / 10)).astype(np.float32)
    # Beyond the skin, or beyond what the source scanner saw, there is tissue nobody has drawn.
    echo = body * echo + (1 - body) * 10 ** (random.normal(0, 4) / 10)
    echo *= np.exp(random.uniform(0, 0.7) * anatomy.noise(random, log_uniform(random, 4, 25)))
    soft = random.uniform(0.006, 0.03)
    attenuation = np.full(anatomy.shape, soft, dtype=np.float32)
    dark = (smooth < random.uniform(0.05, 0.2)) & (anatomy.label == 0) & (body > 0.9)
    if random.random() < 0.7:  # what MR does not see is bone, gas or fluid: three very different things to sound
        echo[dark] = log_uniform(random, 0.01, 4)
        attenuation[dark] = soft * log_uniform(random, 0.1, 20)
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        _organ(anatomy, random, anatomy.label == value, echo, attenuation, soft)
    return echo, attenuation


def _organ(
    anatomy: Anatomy, random: np.random.Generator, mask: np.ndarray, echo: np.ndarray, attenuation: np.ndarray,
    soft: float,
) -> None:  # fmt: skip
    """One labelled structure, in place: fluid (no echo, no loss), or tissue a little darker or brighter than others."""
    fluid = _fluidity(anatomy, mask)
    odds = [fluid, *((1 - fluid) * np.array([0.6, 0.15, 0.25]))]
    kind = random.choice(["fluid", "hypoechoic", "hyperechoic", "as its signal"], p=odds)
    edge = anatomy.smooth(mask, random.uniform(0.5, 1.5))
    around = float(np.median(echo[anatomy.smooth(mask, 6.0) * ~mask > 0.1])) if (~mask).any() else 1.0
    if kind == "fluid":
        level, own = random.uniform(-45, -18), soft * random.uniform(0.0, 0.2)
    else:
        level = random.uniform(-12, -2) if kind == "hypoechoic" else random.uniform(2, 8)
        own = soft * random.uniform(0.5, 1.5)
    if kind != "as its signal":
        inner = echo / max(float(echo[mask].mean()), 1e-6) if random.random() < 0.4 else 1.0
        echo += edge * (around * 10 ** (level / 10) * inner - echo)
    attenuation[mask] = own
    if random.random() < 0.5:  # capsule or wall
        echo += around * log_uniform(random, 0.3, 8) * 4 * edge * (1 - edge)


def _fluidity(anatomy: Anatomy, mask: np.ndarray) -> float:
    """How likely a structure is fluid: fluid is uniform in every modality, so its signal varies little in the source."""
    signal = anatomy.image[anatomy.smooth(mask, 2.0) > 0.95] if mask.any() else anatomy.image[mask]
    variation = float(signal.std() / max(float(signal.mean()), 1e-3)) if signal.size else 1.0
    return 0.1 + 0.75 * float(sigmoid(np.float64((0.15 - variation) / 0.03)))


def _speckle(anatomy: Anatomy, random: np.random.Generator, echo: np.ndarray) -> np.ndarray:
    """Envelope of many scatterers per resolution cell, blurred laterally more with depth.

    A voxel of the net's grid often covers several cells; their average has the mean of Rayleigh speckle and less of its
    contrast (Wagner et al., IEEE Trans. Sonics Ultrason. 1983).
    """
    scatter = random.standard_normal((2, *anatomy.shape), dtype=np.float32)
    axial = anatomy.voxels(random.uniform(0.4, 1.2))[0]
    near, far = random.uniform(0.9, 2.0), random.uniform(1.5, 5.0)
    sharp, broad = (
        ndimage.gaussian_filter(scatter, (0, axial, *anatomy.voxels(lateral)[1:]), truncate=2.5) for lateral in (near, far)
    )
    depth = np.linspace(0, 1, anatomy.shape[0], dtype=np.float32)[:, None, None]
    field = sharp * np.sqrt(1 - depth) / max(float(sharp.std()), 1e-6)
    field += broad * np.sqrt(depth) / max(float(broad.std()), 1e-6)
    envelope = np.sqrt((field**2).sum(0))
    contrast = log_uniform(random, 0.15, 1.0)
    return np.sqrt(np.maximum(echo, 0)) * (1 + contrast * (envelope / max(float(envelope.mean()), 1e-6) - 1))


def _interfaces(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """Specular echoes where the medium changes along the beam: by source intensity, and at the labelled surfaces."""
    strength = random.uniform(0, 4) * np.abs(np.gradient(anatomy.smooth(anatomy.image, 1.0), axis=0))
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        surface = anatomy.smooth(anatomy.label == value, 1.0)
        strength = strength + random.uniform(0, 5) * np.abs(np.gradient(surface, axis=0))
    return strength * np.exp(random.uniform(0, 0.8) * anatomy.noise(random, 8.0))


def _haze(anatomy: Anatomy, random: np.random.Generator, depth: np.ndarray) -> np.ndarray:
    """Clutter and reverberation: fog near the probe that also lies over fluid."""
    if random.random() < 0.5:
        return np.zeros(anatomy.shape, dtype=np.float32)
    fog = np.exp(-depth / log_uniform(random, 8, 50)) * log_uniform(random, 0.02, 0.6)
    return fog * np.exp(random.uniform(0, 0.7) * anatomy.noise(random, 6.0))


def _compress(anatomy: Anatomy, random: np.random.Generator, amplitude: np.ndarray) -> np.ndarray:
    """Log compression into a random dynamic range, then the display curve."""
    top = np.percentile(amplitude[anatomy.fov], random.uniform(97, 99.9)) if anatomy.fov.any() else 1.0
    decibel = 20 * np.log10(np.maximum(amplitude, 1e-9) / max(float(top) * log_uniform(random, 0.7, 1.5), 1e-9))
    shown = np.clip(1 + decibel / random.uniform(36, 65), 0, 1) ** random.uniform(0.7, 1.8)
    return ndimage.gaussian_filter(shown, random.uniform(0, 0.6)).astype(np.float32)
