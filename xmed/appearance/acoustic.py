"""Acoustic: B-mode ultrasound from labelled anatomy: echoes, speckle, shadows, gain, compression.

The beam runs along one array axis. Ranges are wide on purpose: the training set is to contain the target's scanner and
its settings, not to be it. Lengths are in mm, attenuation per mm of path.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.appearance.anatomy import Anatomy, log_uniform

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
    intensity = _speckle(anatomy, random, echo) + _interfaces(anatomy, random)
    entered = np.cumsum(anatomy.fov, axis=0) * anatomy.spacing[0]  # path since the sound entered the field of view
    path = np.cumsum(attenuation * anatomy.fov, axis=0) * anatomy.spacing[0]
    transmitted = np.exp(-2 * path * random.uniform(0.8, 1.6))
    transmitted = ndimage.gaussian_filter1d(transmitted, 1.0 + random.uniform(0, 1.5), axis=1)
    gain = np.exp(random.uniform(-0.002, 0.012) * entered)
    amplitude = intensity * transmitted * gain
    amplitude += _haze(anatomy, random, entered) + log_uniform(random, 1e-4, 1e-2)
    return _compress(anatomy, random, amplitude)


def _medium(anatomy: Anatomy, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Echogenicity and attenuation of every voxel."""
    smooth = anatomy.smooth(anatomy.image, 1.0)
    knots = np.linspace(0, 1, int(random.integers(4, 9)))
    curve = np.exp(random.normal(-1.0, 0.8, len(knots)))
    echo = np.interp(smooth, knots, curve).astype(np.float32)
    echo *= np.exp(random.uniform(0, 0.5) * anatomy.noise(random, log_uniform(random, 4, 25)))
    attenuation = np.full(anatomy.shape, random.uniform(0.001, 0.012), dtype=np.float32)
    dark = (smooth < random.uniform(0.05, 0.2)) & (anatomy.label == 0)
    if random.random() < 0.7:  # what MR does not see is bone, gas or fluid: three very different things to sound
        echo[dark] = log_uniform(random, 0.01, 1.5)
        attenuation[dark] = log_uniform(random, 0.005, 0.2)
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        mask = anatomy.label == value
        if random.random() < 0.7:
            level = log_uniform(random, 0.01, 0.06) if random.random() < 0.4 else log_uniform(random, 0.06, 0.9)
            texture = echo / max(float(echo[mask].mean()), 1e-6) if random.random() < 0.5 else 1.0
            soft = anatomy.smooth(mask, 0.8)
            echo = echo + soft * (level * texture - echo)
        if random.random() < 0.5:
            attenuation[mask] = log_uniform(random, 0.0005, 0.012)
    return echo, attenuation


def _speckle(anatomy: Anatomy, random: np.random.Generator, echo: np.ndarray) -> np.ndarray:
    """Envelope of many scatterers per resolution cell (Rayleigh), blurred laterally more with depth."""
    scatter = (random.standard_normal((2, *anatomy.shape)) * np.sqrt(np.maximum(echo, 0))).astype(np.float32)
    axial = anatomy.voxels(random.uniform(0.5, 1.2))[0]
    near, far = random.uniform(0.9, 2.5), random.uniform(2.0, 6.0)
    sharp, broad = (
        ndimage.gaussian_filter(scatter, (0, axial, *anatomy.voxels(lateral)[1:]), truncate=2.5)
        for lateral in (near, far)
    )
    sharp, broad = sharp / max(float(sharp.std()), 1e-6), broad / max(float(broad.std()), 1e-6)
    depth = np.linspace(0, 1, anatomy.shape[0], dtype=np.float32)[:, None, None]
    field = sharp * np.sqrt(1 - depth) + broad * np.sqrt(depth)
    return np.sqrt((field**2).sum(0)) * float(np.sqrt(np.mean(echo)))


def _interfaces(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """Specular echoes where the medium changes along the beam: by source intensity, and at the labelled surfaces."""
    strength = random.uniform(0, 3) * np.abs(np.gradient(anatomy.smooth(anatomy.image, 1.0), axis=0))
    surface = anatomy.smooth(anatomy.label > 0, 1.0)
    strength = strength + random.uniform(0, 2) * np.abs(np.gradient(surface, axis=0))
    return strength * np.exp(random.uniform(0, 0.8) * anatomy.noise(random, 8.0))


def _haze(anatomy: Anatomy, random: np.random.Generator, entered: np.ndarray) -> np.ndarray:
    """Clutter and reverberation: fog near the probe that also lies over fluid."""
    if random.random() < 0.5:
        return np.zeros(anatomy.shape, dtype=np.float32)
    fog = np.exp(-entered / log_uniform(random, 8, 50)) * log_uniform(random, 0.01, 0.4)
    return fog * np.exp(random.uniform(0, 0.7) * anatomy.noise(random, 6.0))


def _compress(anatomy: Anatomy, random: np.random.Generator, amplitude: np.ndarray) -> np.ndarray:
    """Log compression into a random dynamic range, then the display curve."""
    top = np.percentile(amplitude[anatomy.fov], random.uniform(97, 99.9)) if anatomy.fov.any() else 1.0
    decibel = 20 * np.log10(np.maximum(amplitude, 1e-9) / max(float(top) * log_uniform(random, 0.7, 1.5), 1e-9))
    shown = np.clip(1 + decibel / random.uniform(36, 65), 0, 1) ** random.uniform(0.7, 1.8)
    return ndimage.gaussian_filter(shown, random.uniform(0, 0.6)).astype(np.float32)
