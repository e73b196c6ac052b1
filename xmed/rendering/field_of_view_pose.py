"""Move the source anatomy into the pose and field of view of the target's scanner, before any physics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from xmed.prepare import Sample
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.rendering.labelled_anatomy import LabelledAnatomy
from xmed.rendering.unlabelled_tissue import add_unlabelled_tissue, fluid_probability

TILT_DEG, POSITIONING_DEG = 35.0, 10.0
"""Largest tilt of a probe by hand, and largest misalignment of a patient in a tomograph, in degrees."""
CODE_CERTAINTY = 0.96
"""Probability that a structure is fluid whose code says so; the rest is for clots, sludge and wrong codes."""
TOMOGRAPH_FILL = 0.7
"""Share of its bounding box that a tomograph's field of view fills; even a round one fills 0.78. A sector fills about
half.
"""


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
