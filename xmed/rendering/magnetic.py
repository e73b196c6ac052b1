"""MR from labelled anatomy: contrast of an unknown sequence, coil shading, partial volume, Rician noise.

Parameter ranges are wide on purpose: weighting, field strength and coil of the target are unknown. Lengths are in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import LabelledAnatomy, log_uniform, sigmoid

MODALITIES = ("MR",)


def render(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return magnitude signal in arbitrary units, float32 (i, j, k) ≥ 0."""
    signal = _tissue(anatomy, random)
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        signal += _organ(anatomy, random, int(value), signal)
    body = anatomy.body()
    signal = np.maximum(signal, 0) * body  # air and cortical bone give no signal, whatever the sequence
    coil = np.exp(random.uniform(0, 0.4) * anatomy.noise(random, log_uniform(random, 60, 200)))
    blurred = ndimage.gaussian_filter(signal * coil, anatomy.voxels(log_uniform(random, 0.3, 2.0)), truncate=3)
    level = log_uniform(random, 0.005, 0.05)
    real, imaginary = (level * random.standard_normal(anatomy.shape, dtype=np.float32) for _ in range(2))
    magnitude: np.ndarray = np.hypot(blurred + real, imaginary).astype(np.float32)  # Gudbjartsson & Patz, MRM 1995
    return magnitude


def _tissue(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return the signal by source intensity, along any curve, since the order of tissues differs between modalities.

    Half of the time a few sharp classes, as fat, muscle and fluid are; half of the time a smooth curve.
    """
    smooth = anatomy.smooth(anatomy.image, 1.0)
    in_view = smooth[anatomy.fov]
    count = int(random.integers(3, 7))
    levels = random.uniform(0.05, 1.0, count).astype(np.float32)
    knots = np.quantile(in_view, np.linspace(0.02, 0.98, count))
    if random.random() < 0.5:
        signal = np.interp(smooth, np.maximum.accumulate(knots + np.arange(count) * 1e-6), levels)
    else:
        edges = np.quantile(in_view, np.sort(random.uniform(0.05, 0.95, count - 1)))
        signal = ndimage.gaussian_filter(levels[np.searchsorted(edges, smooth)], anatomy.voxels(0.7), truncate=3)
    texture = random.uniform(0, 0.15) * anatomy.noise(random, log_uniform(random, 5, 20))
    tissue: np.ndarray = (signal * (1 + texture) + random.uniform(-0.2, 0.2) * anatomy.image).astype(np.float32)
    return tissue


def _organ(anatomy: LabelledAnatomy, random: np.random.Generator, value: int, signal: np.ndarray) -> np.ndarray:
    """Return what a labelled structure adds to the signal.

    It is fluid (homogeneous, the brightest tissue or a dark one), or tissue unlike its surroundings, often in zones,
    with a pattern, or with a capsule.
    """
    mask = anatomy.label == value
    around = float(np.median(signal[anatomy.around(mask)]))
    level: np.ndarray | float
    own_share = random.uniform(0, 0.4)  # share of its own pattern in the source that shows through
    grain = anatomy.noise(random, log_uniform(random, 4, 25))
    if random.random() < anatomy.fluid.get(value, 0.0):
        bright, dark = float(signal.max()) * random.uniform(0.8, 1.5), around * random.uniform(0.05, 0.6)
        level = bright if random.random() < 0.6 else dark  # T2-weighted, or T1-weighted
        texture, own_share = random.uniform(0, 0.03) * grain, 0.0
    else:
        level, texture = _beside(around, random), random.uniform(0, 0.3) * grain
        if random.random() < 0.6:  # a core of another signal, off centre, as in a gland or a necrotic tumour
            depth = ndimage.distance_transform_edt(mask, sampling=anatomy.spacing)
            core = depth / max(float(depth.max()), 1e-6) + 0.3 * anatomy.noise(random, 20.0)
            level = level + sigmoid(12 * (core - random.uniform(0.2, 0.7))) * (_beside(around, random) - level)
    soft = anatomy.smooth(mask, log_uniform(random, 0.5, 1.5))
    organ: np.ndarray = soft * (1 - own_share) * (level * (1 + texture) - signal)
    if random.random() < 0.5:  # capsule or wall
        rim = 4 * soft * (1 - soft) * random.uniform(0.3, 1)
        organ += rim * (_beside(around, random) - signal - organ)
    return organ


def _beside(around: float, random: np.random.Generator) -> float:
    """Draw a signal that can be told apart from that of the surroundings."""
    return max(around + float(random.choice([-1, 1])) * log_uniform(random, 0.1, 0.8), 0.02)
