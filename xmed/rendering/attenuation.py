"""CT from labelled anatomy, in Hounsfield units: soft tissue, fat, bone, nearly isodense lesions."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import LabelledAnatomy, log_uniform

MODALITIES = ("CT",)
AIR = -1000.0
"""Hounsfield units of air."""
AS_SHOWN = 1 / 3
"""Share of renderings that show the source's own intensities on a soft-tissue scale. MR and CT both show anatomy, so
most edges lie at the same places, and a lesion keeps its own texture.
"""


def render(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return Hounsfield units, float32 (i, j, k)."""
    body = anatomy.body()
    if random.random() < AS_SHOWN:
        low, high = random.uniform(-160, -60), random.uniform(140, 240)
        soft_tissue = low + np.clip(anatomy.image, 0, 1) * (high - low)
        hounsfield: np.ndarray = (AIR + body * (soft_tissue - AIR)).astype(np.float32)
        return hounsfield
    hu = _soft_tissue(anatomy, random)
    if random.random() < 0.7:
        deep = anatomy.smooth(body, 4.0) > 0.95  # not near the skin: air has no MR signal, like cortical bone
        dark = anatomy.smooth((anatomy.image < 0.12) & deep, 1.0)
        hu += dark * (random.uniform(150, 600) - hu)
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        lesion = random.uniform(0, 80) + random.uniform(0, 15) * anatomy.noise(random, 3 * log_uniform(random, 3, 9))
        hu += anatomy.smooth(anatomy.label == value, 1.0) * random.uniform(0.3, 1.0) * (lesion - hu)
    hu = AIR + body * (hu - AIR)
    hu = ndimage.gaussian_filter(hu, anatomy.voxels(3 * random.uniform(0.3, 0.9)), truncate=3)
    grain = random.standard_normal(anatomy.shape).astype(np.float32)
    grain = ndimage.gaussian_filter(grain, anatomy.voxels(3 * random.uniform(0.2, 0.7)), truncate=3)
    noisy: np.ndarray = (hu + random.uniform(3, 25) * grain / max(float(grain.std()), 1e-6)).astype(np.float32)
    return noisy


def _soft_tissue(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Return Hounsfield units by source intensity: bright on T1 is fat and thus dark on CT; sometimes any curve."""
    x = np.clip(anatomy.image, 0, 1.2)
    if random.random() < 0.6:
        knots = [0.0, 0.25, 0.6, 1.0]
        levels = [
            random.uniform(30, 90), random.uniform(30, 80), random.uniform(-40, 40), random.uniform(-130, -70)
        ]  # fmt: skip
    else:
        knots = np.linspace(0, 1, int(random.integers(3, 6))).tolist()
        levels = random.uniform(-120, 120, len(knots)).tolist()
    soft_tissue: np.ndarray = np.interp(x, knots, levels).astype(np.float32)
    return soft_tissue
