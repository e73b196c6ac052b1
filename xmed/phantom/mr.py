"""Scan the phantom as a T2-weighted spin-echo MR sequence does, transaxial and slightly oblique.

Simulated are the signal of each tissue with variation between patients, texture, partial volume within thick slices, an
in-plane point-spread function, the bias field of a receive coil, and Rician noise (Gudbjartsson & Patz 1995,
doi:10.1002/mrm.1910340618).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.shapes import LatticeNoise, PlaneWaves, rotation_matrix
from xmed.phantom.tissue import Tissue, per_tissue
from xmed.volume import Grid, Volume

SUBSLICES = 2
"""Samples across a slice that are averaged, which gives partial volume."""
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


def scan_mr(anatomy: Pelvis, random: np.random.Generator) -> tuple[Volume, Volume]:
    """Return one patient's image (uint16) and label map (uint8), on one grid."""
    grid = _grid(random)
    signal = _slices(anatomy, grid, random)
    labels = anatomy.structures(_points(grid))
    blurred = ndimage.gaussian_filter(signal, (random.uniform(0.35, 0.6),) * 2 + (0.0,))
    shaded = blurred * _bias(grid, random)
    noise = random.uniform(0.015, 0.04)
    real, imaginary = random.normal(0, noise, (2, *grid.shape)).astype(np.float32)
    stored = np.clip(np.rint(np.hypot(shaded + real, imaginary) * FULL_SCALE), 0, 4095).astype(np.uint16)
    return Volume(stored, grid.affine, modality="MR"), Volume(labels, grid.affine)


def _grid(random: np.random.Generator) -> Grid:
    """Draw the slices' position as a technologist may choose it: rotated by some degrees, centred only roughly."""
    u = random.uniform
    spacing, shape = np.array([u(1.4, 1.6)] * 2 + [3.0]), (128, 116, int(random.integers(36, 43)))
    axes = rotation_matrix(u(-14, 14), u(-5, 5), u(-6, 6))
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    middle = np.array([u(-15, 15), u(-18, 12), u(-4, 24)])
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _points(grid: Grid, finer: int = 1) -> np.ndarray:
    """Return patient coordinates (i, j, k * finer, 3), float32, of the voxels cut into `finer` layers along k."""
    axes = grid.affine[:3].astype(np.float32)
    i, j, k = (np.arange(n, dtype=np.float32)[:, None] for n in (*grid.shape[:2], grid.shape[2] * finer))
    along_i, along_j, along_k = i * axes[:, 0], j * axes[:, 1], ((k + 0.5) / finer - 0.5) * axes[:, 2]
    return along_i[:, None, None] + along_j[None, :, None] + (along_k + axes[:, 3])


def _slices(anatomy: Pelvis, grid: Grid, random: np.random.Generator) -> np.ndarray:
    """Return the textured signal (i, j, k); slices are as thick as their distance."""
    level = SIGNAL * np.exp(random.normal(0, 0.12, len(SIGNAL))).astype(np.float32)
    grain = LatticeNoise.draw(random, random.uniform(2.5, 3.5), (0.6, 1.5, 4.0))
    points = _points(grid, SUBSLICES)
    tissue = anatomy.tissue(points)
    middle = points[:, :, SUBSLICES // 2 :: SUBSLICES].reshape(-1, 3).T
    texture = grain(middle).reshape(grid.shape)
    signal = np.zeros(grid.shape, dtype=np.float32)
    for layer in range(SUBSLICES):
        slice_tissue = tissue[:, :, layer::SUBSLICES]
        signal += level[slice_tissue] * np.clip(1 + TEXTURE[slice_tissue] * texture, 0.1, None) / SUBSLICES
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
