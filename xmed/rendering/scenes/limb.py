"""Generate label maps of vessels among nerves, muscle and bone. They come from a random generator, not from a person.

Lengths are in pixels of a map 128 wide and deep, (i lateral, j depth). Numbers and sizes of vessels are those of the
recipe that `vessels` names. Muscle and bone are drawn larger and more varied, by eye.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import log_uniform, smooth_noise

EDGE = 128
VESSEL, NERVE, MUSCLE, BONE = 1, 2, 3, 4
VESSELS = (0.14, 0.34, 0.27, 0.15, 0.10)
"""Probability of 0, 1, ... vessels in a picture."""
GAP = 2
"""Pixels of tissue between two vessels: in a label map touching vessels cannot be told apart."""
TRIES = 20


def anatomy(random: np.random.Generator) -> np.ndarray:
    """Generate a label map uint8 (EDGE, EDGE, 1): 0 other tissue, 1 vessel, 2 nerve, 3 muscle, 4 bone and below it."""
    ids = np.zeros((EDGE, EDGE), dtype=np.uint8)
    for _ in range(int(random.integers(0, 4))):
        ids[_blob(random, log_uniform(random, 8, 45), random.uniform(0.25, 0.8), 0.3)] = MUSCLE
    for _ in range(int(random.integers(0, 4))):
        ids[_blob(random, random.uniform(4, 18), random.uniform(0.35, 1.0), 0.15)] = NERVE
    taken = np.zeros(ids.shape, dtype=bool)
    for _ in range(int(random.choice(len(VESSELS), p=VESSELS))):
        vessel = _vessel(taken, random)
        ids[vessel] = VESSEL
        taken |= ndimage.binary_dilation(vessel, iterations=GAP)
    if random.random() < 0.45:
        ids[_bone(random)] = BONE
    return ids[:, :, np.newaxis]


def _vessel(taken: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw a lumen that does not touch the others; after TRIES attempts, the part of it that is free."""
    size = log_uniform(random, 5, 20)
    for _ in range(TRIES):
        wide = float(np.clip(size * log_uniform(random, 0.6, 1.5), 3.5, 25))
        lumen = _blob(random, wide, random.uniform(0.55, 1.35), random.uniform(0.02, 0.12))
        if not (lumen & taken).any():
            break
    free: np.ndarray = lumen & ~taken
    return free


def _blob(random: np.random.Generator, wide: float, flat: float, irregular: float) -> np.ndarray:
    """Draw a tilted ellipse of half-width `wide`, half-height `wide · flat` and uneven edge, bool (EDGE, EDGE)."""
    i, j = np.indices((EDGE, EDGE), dtype=np.float32)
    i, j = i - random.uniform(0.05, 0.95) * EDGE, j - random.uniform(0.08, 0.9) * EDGE
    tilt = random.uniform(-0.5, 0.5)
    along, across = np.cos(tilt) * i + np.sin(tilt) * j, -np.sin(tilt) * i + np.cos(tilt) * j
    uneven = irregular * smooth_noise(random, (EDGE, EDGE), max(2.0, 0.5 * wide))
    blob: np.ndarray = np.hypot(along / wide, across / (wide * flat)) < 1 + uneven
    return blob


def _bone(random: np.random.Generator) -> np.ndarray:
    """Draw all below a surface that is convex towards the probe, over a part of the width; bool (EDGE, EDGE)."""
    i, j = np.indices((EDGE, EDGE), dtype=np.float32)
    middle, half, top = random.uniform(0, 1) * EDGE, random.uniform(12, 60), random.uniform(0.3, 0.95) * EDGE
    x = (i - middle) / half
    surface = top + random.uniform(2, 25) * x**2 + random.normal(0, 6) * x + smooth_noise(random, (EDGE, 1), (6, 0))
    bone: np.ndarray = (j > surface) & (np.abs(x) < 1)
    return bone
