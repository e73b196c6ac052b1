"""Make up tissue where the source's scanner saw none, or saw it badly.

An ultrasound sector shows a wedge of the body with shadows and speckle; a tomograph shows all of it. What the source
leaves out is drawn at random: mottled tissue classes, layers below a skin, and oval organs, bones and vessels with
rims. A network that has never met such shapes takes the first oval for the labelled one. Lengths are in mm.
"""

from __future__ import annotations

import numpy as np

from xmed.rendering.labelled_anatomy import LabelledAnatomy, log_uniform, sigmoid


def add_unlabelled_tissue(anatomy: LabelledAnatomy, seen: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the anatomy's image where it was seen, blended with made-up tissue elsewhere.

    What was seen is blurred, because speckle is no tissue, and gets a random weight. The labelled structures are always
    kept.

    Args:
        anatomy: Anatomy in the target's pose.
        seen: Where the source's scanner saw something, bool (i, j, k).
        random: Random generator.

    Returns:
        Float32 (i, j, k) in [0, 1].
    """
    tissue = _tissue(anatomy, random)
    for _ in range(int(random.integers(2, 10))):
        _oval(anatomy, random, tissue)
    _layers(anatomy, random, tissue)
    smooth = anatomy.smooth(anatomy.image, log_uniform(random, 1.5, 4))
    trust = np.where(anatomy.label > 0, 1.0, anatomy.smooth(seen, 2.0) * random.uniform(0, 1))
    blended: np.ndarray = (trust * smooth + (1 - trust) * tissue).astype(np.float32)
    return blended


def fluid_probability(anatomy: LabelledAnatomy, mask: np.ndarray, seen: np.ndarray) -> float:
    """Estimate how likely a structure in ultrasound is fluid, which is dark against its surroundings.

    Args:
        anatomy: Anatomy whose image is ultrasound.
        mask: The structure, bool (i, j, k).
        seen: Where the source's scanner saw something, bool (i, j, k).
    """
    deep = anatomy.smooth(mask, 2.0) > 0.95
    inside, near = deep if deep.any() else mask, anatomy.around(mask) & seen
    echo = np.median(anatomy.image[inside]) / max(float(np.median(anatomy.image[near])) if near.any() else 1.0, 1e-3)
    return 0.04 + 0.92 * float(sigmoid(np.array((0.5 - echo) / 0.05)))


def _tissue(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Draw a few mottled classes of tissue in blobs."""
    count = int(random.integers(2, 6))
    fine = random.uniform(0, 0.4) * anatomy.noise(random, log_uniform(random, 6, 15))
    field = anatomy.noise(random, log_uniform(random, 10, 50)) + fine
    edges = np.quantile(field, np.sort(random.uniform(0.05, 0.95, count - 1)))
    levels = random.uniform(0.05, 1, count).astype(np.float32)[np.searchsorted(edges, field)]
    return levels * (1 + random.uniform(0, 0.2) * anatomy.noise(random, log_uniform(random, 6, 20)))


def _oval(anatomy: LabelledAnatomy, random: np.random.Generator, tissue: np.ndarray) -> None:
    """Draw one ellipsoid in place, of any level, often with a rim and sometimes with a core; long ones are vessels."""
    centre = random.uniform(0, np.array(anatomy.shape) * anatomy.spacing)
    radii = log_uniform(random, 3, 25) * np.exp(random.normal(0, 0.35, 3))
    points = anatomy.coordinates() - centre[:, None, None, None].astype(np.float32)
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0].astype(np.float32)
    distance = np.sqrt((np.einsum("ab,bijk->aijk", axes, points) ** 2 / (radii**2)[:, None, None, None]).sum(0))
    inside = sigmoid((1 - distance) * float(radii.min()))
    tissue += inside * (random.uniform(0, 1) - tissue)
    if random.random() < 0.6:
        rim = np.exp(-(((distance - 1) * float(radii.min()) / random.uniform(0.8, 2)) ** 2))
        tissue += rim * (random.uniform(0, 1) - tissue)
    if random.random() < 0.3:
        core = sigmoid((random.uniform(0.4, 0.8) - distance) * float(radii.min()))
        tissue += core * (random.uniform(0, 1) - tissue)


def _layers(anatomy: LabelledAnatomy, random: np.random.Generator, tissue: np.ndarray) -> None:
    """Draw air, skin, fat and muscle in layers from one side of the field, in place; not always in view."""
    if random.random() < 0.4:
        return
    axis, points = int(random.integers(0, 2)), anatomy.coordinates()
    depth = points[axis] if random.random() < 0.5 else points[axis].max() - points[axis]
    depth = depth + random.uniform(0, 6) * anatomy.noise(random, 60.0) - random.uniform(-5, 20)
    for thickness, level in zip((30.0, 3.0, *random.uniform(4, 20, 2)), (0.0, *random.uniform(0.05, 1, 3))):
        band = sigmoid(depth) * sigmoid(thickness - depth) if level else sigmoid(-depth)
        tissue += band * (level - tissue)
        depth = depth - thickness if level else depth
