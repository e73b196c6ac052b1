"""Scan the phantom as a T2-weighted spin-echo MR sequence does, transaxial and slightly oblique.

Simulated are the signal of each tissue with variation between patients, texture, partial volume within thick slices, an
in-plane point-spread function, the bias field of a receive coil, and Rician noise (Gudbjartsson & Patz 1995,
doi:10.1002/mrm.1910340618).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.shapes import LatticeNoise, PlaneWaves
from xmed.phantom.tissue import Tissue, per_tissue
from xmed.phantom.tomography import grid_points, organs_grid, pelvis_grid, sublayers
from xmed.spec.dataset import Extent
from xmed.volume import Grid, Volume

SUBSLICES = 2
"""Samples across a thick slice that are averaged, which gives partial volume."""
WHOLE_TILT_DEG = 6.0
"""Largest tilt of the slices through the whole pelvis."""
FULL_SCALE = 1500.0
"""Stored value of a signal of 1; 12 bits hold up to 4095."""

SIGNAL = per_tissue(
    {
        Tissue.AIR: 0.0, Tissue.SKIN: 0.35, Tissue.FAT: 0.85, Tissue.FASCIA: 0.25, Tissue.MUSCLE: 0.22,
        Tissue.PELVIC_FAT: 0.6, Tissue.BONE: 0.06, Tissue.MARROW: 0.55, Tissue.CARTILAGE: 0.3,
        Tissue.BLADDER_WALL: 0.24, Tissue.URINE: 1.25, Tissue.CAPSULE: 0.28, Tissue.PERIPHERAL_ZONE: 1.0,
        Tissue.TRANSITION_ZONE: 0.55, Tissue.SEMINAL_VESICLE: 1.0, Tissue.RECTAL_WALL: 0.36, Tissue.STOOL: 0.5,
        Tissue.RECTAL_GAS: 0.02, Tissue.BOWEL_WALL: 0.4, Tissue.BOWEL_FLUID: 1.0, Tissue.BOWEL_GAS: 0.02,
        Tissue.VESSEL: 0.1,
    }
)  # fmt: skip
"""Relative T2-weighted signal: fluid bright, muscle and cortical bone dark, fat bright as in turbo spin echo."""
TEXTURE = per_tissue(
    dict.fromkeys(Tissue, 0.06)
    | {Tissue.TRANSITION_ZONE: 0.32, Tissue.PERIPHERAL_ZONE: 0.12, Tissue.STOOL: 0.4, Tissue.URINE: 0.02}
    | {Tissue.PELVIC_FAT: 0.2, Tissue.MUSCLE: 0.16, Tissue.SEMINAL_VESICLE: 0.25, Tissue.MARROW: 0.12}
)
"""Relative strength of texture: nodules of the transition zone, strands in fat, fibres in muscle."""


def scan_mr(anatomy: Pelvis, random: np.random.Generator, extent: Extent = "organs") -> tuple[Volume, Volume]:
    """Scan one patient.

    Args:
        anatomy: The patient.
        random: Random generator of this scan.
        extent: "organs" for thick slices around them, "pelvis" for isotropic voxels of all of it.

    Returns:
        Image (uint16) and label map (uint8), on one grid.
    """
    whole = extent == "pelvis"
    grid = pelvis_grid(random, WHOLE_TILT_DEG) if whole else organs_grid(random)
    signal = _slices(anatomy, grid, random, 1 if whole else SUBSLICES)
    labels = anatomy.structures(grid_points(grid))
    blurred = ndimage.gaussian_filter(signal, (random.uniform(0.35, 0.6),) * 2 + (0.0,))
    shaded = blurred * _bias(grid, random)
    noise = random.uniform(0.015, 0.04)
    real, imaginary = random.normal(0, noise, (2, *grid.shape)).astype(np.float32)
    stored = np.clip(np.rint(np.hypot(shaded + real, imaginary) * FULL_SCALE), 0, 4095).astype(np.uint16)
    return Volume(stored, grid.affine, modality="MR"), Volume(labels, grid.affine)


def _slices(anatomy: Pelvis, grid: Grid, random: np.random.Generator, finer: int) -> np.ndarray:
    """Return the textured signal (i, j, k); slices are as thick as their distance."""
    level = SIGNAL * np.exp(random.normal(0, 0.12, len(SIGNAL))).astype(np.float32)
    grain = LatticeNoise.draw(random, random.uniform(2.5, 3.5), (0.6, 1.5, 4.0))
    signal = np.zeros(grid.shape, dtype=np.float32)
    for tissue, texture in sublayers(anatomy, grid, grain, finer):
        signal += level[tissue] * np.clip(1 + TEXTURE[tissue] * texture, 0.1, None) / finer
    return signal


def _bias(grid: Grid, random: np.random.Generator) -> np.ndarray:
    """Return the receive sensitivity (i, j, k): smooth, and stronger near a surface coil in front of the patient."""
    wave = PlaneWaves.draw(random, (250, 500), random.uniform(0.1, 0.25))
    coarse = tuple(-(-n // 4) for n in grid.shape)
    index = np.indices(coarse, dtype=np.float64).reshape(3, -1).T * 4
    points = grid.points(index)
    field = wave(points.T.astype(np.float32))[0] - random.uniform(0, 0.003) * points[:, 1]
    small = field.reshape(coarse).astype(np.float32)
    fine = ndimage.zoom(small, 4, order=1, grid_mode=True, mode="nearest")
    sensitivity: np.ndarray = np.exp(fine[tuple(slice(n) for n in grid.shape)])
    return sensitivity
