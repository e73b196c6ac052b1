"""Magnetic: MR from labelled anatomy: contrast of an unknown sequence, coil shading, partial volume, Rician noise.

Ranges are wide on purpose: weighting, field strength and coil of the target are unknown. Lengths are in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.appearance.anatomy import Anatomy, log_uniform

MODALITIES = ("MR",)


def render(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """Magnitude signal in arbitrary units, float32 (i, j, k) ≥ 0."""
    signal = _tissue(anatomy, random)
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        signal += _organ(anatomy, random, anatomy.label == value, signal)
    body = anatomy.body()
    signal = np.maximum(signal, 0) * body  # air and cortical bone give no signal, whatever the sequence
    coil = np.exp(random.uniform(0, 0.4) * anatomy.noise(random, log_uniform(random, 60, 200)))
    blurred = ndimage.gaussian_filter(signal * coil, anatomy.voxels(log_uniform(random, 0.3, 2.0)), truncate=3)
    level = random.uniform(0.01, 0.1)
    real, imaginary = (level * random.standard_normal(anatomy.shape, dtype=np.float32) for _ in range(2))
    return np.hypot(blurred + real, imaginary).astype(np.float32)  # Gudbjartsson & Patz, MRM 1995


def _tissue(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """Signal by source intensity: any curve at all, since tissue order changes from modality to modality.

    Half the time a few sharp classes, as fat, muscle and fluid are; half the time a smooth curve.
    """
    smooth = anatomy.smooth(anatomy.image, 1.0)
    seen = smooth[anatomy.fov]
    count = int(random.integers(3, 7))
    levels = random.uniform(0.05, 1.0, count).astype(np.float32)
    knots = np.quantile(seen, np.linspace(0.02, 0.98, count))
    if random.random() < 0.5:
        signal = np.interp(smooth, np.maximum.accumulate(knots + np.arange(count) * 1e-6), levels)
    else:
        edges = np.quantile(seen, np.sort(random.uniform(0.05, 0.95, count - 1)))
        signal = ndimage.gaussian_filter(levels[np.searchsorted(edges, smooth)], anatomy.voxels(0.7), truncate=3)
    texture = random.uniform(0, 0.15) * anatomy.noise(random, log_uniform(random, 3, 15))
    return (signal * (1 + texture) + random.uniform(-0.2, 0.2) * anatomy.image).astype(np.float32)


def _organ(anatomy: Anatomy, random: np.random.Generator, mask: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """What a labelled structure adds: brighter or darker than its surroundings, seldom isointense, seldom uniform."""
    near = (anatomy.smooth(mask, 6.0) > 0.01) & ~mask & anatomy.fov
    around = float(np.median(signal[near if near.any() else mask]))
    contrast = random.choice([-1, 1]) * log_uniform(random, 0.05, 0.8)
    level = max(around + contrast, 0.02)
    inner = random.uniform(0, 0.3) * anatomy.noise(random, log_uniform(random, 4, 25)) * level
    kept = random.uniform(0, 0.6)  # share of its own pattern in the source that shows through
    soft = anatomy.smooth(mask, log_uniform(random, 0.5, 1.5))
    return soft * (1 - kept) * (level + inner - signal)
