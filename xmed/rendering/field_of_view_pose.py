"""Move the source anatomy into the pose and field of view of the target's scanner, before any physics.

Tissue that the source's scanner did not see, or saw badly, is made up. An ultrasound sector shows a wedge of the body
with shadows and speckle; a tomograph shows all of it. What the source leaves out is drawn at random: mottled tissue
classes, layers below a skin, and oval organs, bones and vessels with rims. A network that has never met such shapes
takes the first oval for the labelled one. Lengths are in mm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from xmed.prepare import Sample
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.rendering.labelled_anatomy import LabelledAnatomy, log_uniform, sigmoid

TILT_DEG, POSITIONING_DEG = 35.0, 10.0
"""Largest tilt of a probe by hand, and largest misalignment of a patient in a tomograph, in degrees."""
CODE_CERTAINTY = 0.96
"""Probability that a structure is fluid whose code says so; the rest is for clots, sludge and wrong codes."""
TOMOGRAPH_FILL = 0.7
"""Share of its bounding box that a tomograph's field of view fills; even a round one fills 0.78. A sector fills about
half.
"""


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


def pose_anatomy(source: Sample, target: Sample, modality: str, random: np.random.Generator) -> LabelledAnatomy:
    """Return the labelled source as input for a rendering in `modality`.

    A tomograph sees the body as another tomograph did, so the source keeps its own grid and field of view. A probe sees
    only a part of it. Then, and also where the source itself is a sector, the source is laid along the axes of an
    unlabelled target volume, as both headers say, rotated at random, and cut out through the target's field of view
    with its labelled structures somewhere inside. What lies beyond a source sector is made up (see
    `add_unlabelled_tissue`).

    Args:
        source: Labelled sample.
        target: Unlabelled sample; its grid and field of view are used.
        modality: DICOM modality of the rendering.
        random: Random generator.

    Returns:
        Anatomy on the source's grid or, where it was posed, on the target's.
    """
    image, sector = _unit_intensities(source), source.fov.mean() < TOMOGRAPH_FILL
    coded_fluid = {value: CODE_CERTAINTY if fluid else 1 - CODE_CERTAINTY for value, fluid in source.fluid.items()}
    if modality not in PROBE_MODALITIES and not sector:
        return LabelledAnatomy(image, source.reference, source.fov, source.spacing, fluid=coded_fluid)
    tilt = TILT_DEG if modality in PROBE_MODALITIES else POSITIONING_DEG
    turn = Rotation.from_euler("xyz", random.uniform(-tilt, tilt, 3), degrees=True).as_matrix()
    turn = turn * np.exp(random.uniform(-0.15, 0.15))
    axes = np.linalg.solve(source.grid.affine[:3, :3] / source.spacing, target.grid.affine[:3, :3] / target.spacing)
    to_source = np.diag(1 / np.array(source.spacing)) @ turn @ axes @ np.diag(target.spacing)
    offset = np.argwhere(source.reference > 0).mean(0) - to_source @ _random_location(target, random)
    shape = target.image.shape
    moved = ndimage.affine_transform(image, to_source, offset, shape, order=1, mode="constant")
    label = ndimage.affine_transform(source.reference, to_source, offset, shape, order=0, mode="constant")
    label = np.where(target.fov, label, 0).astype(np.uint8)
    anatomy = LabelledAnatomy(moved, label, target.fov, target.spacing, beam_direction(target.fov), coded_fluid)
    if not sector:
        return anatomy
    seen = ndimage.affine_transform(source.fov.astype(np.uint8), to_source, offset, shape, order=0, mode="constant") > 0
    fluid = {int(v): fluid_probability(anatomy, label == v, seen) for v in np.unique(label[label > 0])}
    return replace(anatomy, image=add_unlabelled_tissue(anatomy, seen, random), fluid=fluid | coded_fluid)


def beam_direction(fov: np.ndarray) -> tuple[int, int]:
    """Estimate the direction of sound from the field of view alone: a sector widens with depth.

    Depth is the axis along which the two halves of the field differ most in size, and sound enters the smaller half. A
    box gives no hint; then sound comes from the top of the picture, along the second axis.

    Args:
        fov: Bool (i, j, k).

    Returns:
        The array axis, and +1 or −1.
    """
    growth = []
    for axis in range(3 if fov.shape[2] > 1 else 2):  # a picture has no third axis to look along
        near, far = np.array_split(np.moveaxis(fov, axis, 0), 2)
        growth.append(float(np.log((far.sum() + 1) / (near.sum() + 1))))
    axis = int(np.argmax(np.abs(growth)))
    if abs(growth[axis]) < 0.05:
        return 1, 1
    return axis, (1 if growth[axis] > 0 else -1)


def _unit_intensities(source: Sample) -> np.ndarray:
    """Scale normalised source intensities to [0, 1]: 0 is the 1st percentile, 1 the 99th."""
    low, high = float(source.image.min()), float(source.image.max())
    return ((source.image - low) / max(high - low, 1e-6)).astype(np.float32)


def _random_location(target: Sample, random: np.random.Generator) -> np.ndarray:
    """Draw a voxel index (3,) around the middle of a field of view; standard deviation: an eighth of its extent."""
    inside = np.argwhere(target.fov)
    middle, spread = inside.mean(0), np.ptp(inside, axis=0) / 8
    index: np.ndarray = np.clip(middle + random.normal(0, 1, 3) * spread, inside.min(0), inside.max(0))
    return index
