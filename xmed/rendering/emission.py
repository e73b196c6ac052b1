"""PET and SPECT from labelled anatomy: tissue uptake, hot and necrotic lesions, point spread, count noise.

Parameter ranges are wide on purpose: the training set shall contain the target's scanner, not imitate it. Lengths are
in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import LabelledAnatomy, log_uniform, sigmoid

MODALITIES = ("PT", "NM")


def render(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return activity in arbitrary units, float32 (i, j, k) ≥ 0."""
    background = _tissue(anatomy, random)
    activity = background + _distractors(anatomy, random, background) if random.random() < 0.4 else background
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        activity = _lesion(anatomy, random, activity, background, anatomy.label == value)
    return _detect(anatomy, random, activity, float(background[anatomy.fov].mean()))


def _tissue(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return the uptake of two to four tissue classes by source intensity, with a little activity outside the body."""
    body = anatomy.body()
    inside = body > 0.5
    smooth = anatomy.smooth(anatomy.image, 2.0)
    count = int(random.integers(2, 5))
    edges = np.quantile(smooth[inside], np.sort(random.uniform(0.05, 0.95, count - 1))) if inside.any() else []
    uptake = np.exp(random.normal(0, 0.5, count)).astype(np.float32)[np.searchsorted(edges, smooth)]
    uptake *= np.exp(random.uniform(0, 0.5) * anatomy.noise(random, 22.0))
    return uptake * (body + (1 - body) * log_uniform(random, 0.02, 0.3))


def _lesion(
    anatomy: LabelledAnatomy,
    random: np.random.Generator,
    activity: np.ndarray,
    background: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Add one labelled structure that takes up tracer: mostly hot, often necrotic, sometimes only in part."""
    level = float(background[mask].mean())
    ratio = log_uniform(random, 1.5, 14) if random.random() < 0.92 else log_uniform(random, 0.5, 1.5)
    uptake = np.exp(random.uniform(0, 0.8) * anatomy.noise(random, 3 * log_uniform(random, 3, 9)))
    if random.random() < 0.5:
        depth = ndimage.distance_transform_edt(mask, sampling=anatomy.spacing)
        core = depth / max(float(depth.max()), 1e-6) + 0.25 * anatomy.noise(random, 15.0)
        uptake *= 1 - random.uniform(0.4, 0.95) * sigmoid(12 * (core - random.uniform(0.35, 0.8)))
    if random.random() < 0.4:
        part = anatomy.noise(random, 40.0) - random.uniform(-0.2, 1.0)
        uptake *= 1 - random.uniform(0.3, 0.9) * sigmoid(6 * part)
    hot = level * ratio * uptake
    soft = anatomy.smooth(mask, 1.8)
    return activity + soft * (hot - activity if random.random() < 0.5 else hot)


def _distractors(anatomy: LabelledAnatomy, random: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """Return one to three hot spots that are no lesion (vessel, bladder, node, joint), to mislead a threshold."""
    places = np.argwhere((anatomy.label == 0) & (background > background.mean() * 0.5))
    extra = np.zeros(anatomy.shape, dtype=np.float32)
    points = anatomy.coordinates()
    for _ in range(int(random.integers(1, 4)) if len(places) else 0):
        centre = places[int(random.integers(len(places)))] * np.array(anatomy.spacing)
        radii = random.uniform(4.5, 18, 3)
        distance = np.sqrt((((points - centre[:, None, None, None]) / radii[:, None, None, None]) ** 2).sum(0))
        extra += sigmoid(8 * (1 - distance)) * float(background.mean()) * log_uniform(random, 0.5, 5)
    hot_spots: np.ndarray = extra * (anatomy.label == 0)
    return hot_spots


def _detect(anatomy: LabelledAnatomy, random: np.random.Generator, activity: np.ndarray, level: float) -> np.ndarray:
    """Apply the scanner: point spread, then noise that grows with the counts and is as smooth as the filter."""
    psf = np.hypot(random.uniform(1.8, 4.8), 1.8)  # the second part is the interpolation onto the net's grid
    blurred = np.maximum(ndimage.gaussian_filter(activity, anatomy.voxels(psf) * (1, 1, 0.9), truncate=3), 0)
    grain = ndimage.gaussian_filter(
        random.standard_normal(anatomy.shape).astype(np.float32),
        anatomy.voxels(3 * random.uniform(0.5, 1.2)),
        truncate=3,
    )
    grain /= max(float(grain.std()), 1e-6)
    noisy = blurred + np.sqrt(blurred * level) * log_uniform(random, 0.05, 2.5) * grain * 0.2
    counts: np.ndarray = np.maximum(noisy, 0).astype(np.float32)
    return counts
