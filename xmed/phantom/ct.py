"""Scan the phantom as a CT scanner does, transaxial.

Simulated are the attenuation of each tissue with variation between patients and contrast medium, texture, partial
volume, the smoothing of a reconstruction kernel, and quantum noise, which the ramp filter of a reconstruction leaves
without low frequencies (Riederer, Pelc & Chesler 1978, doi:10.1088/0031-9155/23/3/008). Streaks of metal and beam
hardening are not simulated.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.shapes import LatticeNoise
from xmed.phantom.tissue import Tissue, per_tissue
from xmed.phantom.tomography import grid_points, organs_grid, pelvis_grid, sublayers
from xmed.spec.dataset import Extent
from xmed.volume import Volume

SUBSLICES = 2
"""Samples across a thick slice that are averaged, which gives partial volume."""
RANGE_HU = (-1024, 3071)
"""What 12 bits hold."""

ATTENUATION = per_tissue(
    {
        Tissue.AIR: -1000, Tissue.SKIN: 55, Tissue.FAT: -105, Tissue.FASCIA: 25, Tissue.MUSCLE: 55,
        Tissue.PELVIC_FAT: -95, Tissue.BONE: 900, Tissue.MARROW: 180, Tissue.CARTILAGE: 120,
        Tissue.BLADDER_WALL: 40, Tissue.URINE: 6, Tissue.CAPSULE: 45, Tissue.PERIPHERAL_ZONE: 38,
        Tissue.TRANSITION_ZONE: 46, Tissue.SEMINAL_VESICLE: 32, Tissue.RECTAL_WALL: 42, Tissue.STOOL: 45,
        Tissue.RECTAL_GAS: -950, Tissue.BOWEL_WALL: 42, Tissue.BOWEL_FLUID: 18, Tissue.BOWEL_GAS: -950,
        Tissue.VESSEL: 45,
    }
)  # fmt: skip
"""Hounsfield units at about 120 kV, without contrast medium."""
ENHANCEMENT = per_tissue(
    dict.fromkeys(Tissue, 0.0)
    | {Tissue.VESSEL: 120, Tissue.MUSCLE: 8, Tissue.BLADDER_WALL: 30, Tissue.BOWEL_WALL: 45, Tissue.RECTAL_WALL: 40}
    | {Tissue.CAPSULE: 20, Tissue.PERIPHERAL_ZONE: 18, Tissue.TRANSITION_ZONE: 40, Tissue.SEMINAL_VESICLE: 20}
)
"""Hounsfield units that a full dose of contrast medium adds in the venous phase."""
TEXTURE_HU = per_tissue(
    dict.fromkeys(Tissue, 4.0)
    | {Tissue.AIR: 0, Tissue.URINE: 1, Tissue.STOOL: 90, Tissue.MARROW: 60, Tissue.MUSCLE: 12, Tissue.PELVIC_FAT: 14}
    | {Tissue.TRANSITION_ZONE: 8, Tissue.BONE: 80}
)
"""Standard deviation of texture: gas in stool, trabeculae in marrow, fat between muscle fibres."""


def scan_ct(anatomy: Pelvis, random: np.random.Generator, extent: Extent = "organs") -> tuple[Volume, Volume]:
    """Scan one patient.

    Args:
        anatomy: The patient.
        random: Random generator of this scan.
        extent: "organs" for thick slices around them, "pelvis" for isotropic voxels of all of it.

    Returns:
        Image (int16, Hounsfield units) and label map (uint8), on one grid.
    """
    whole = extent == "pelvis"
    grid, finer = (pelvis_grid(random, 0), 1) if whole else (organs_grid(random), SUBSLICES)
    dose = random.choice([0.0, 1.0]) * random.uniform(0.4, 1.1)  # of contrast medium; half of the patients have none
    level = ATTENUATION + np.float32(dose) * ENHANCEMENT + random.normal(0, 5, len(ATTENUATION)).astype(np.float32)
    level[Tissue.AIR] = ATTENUATION[Tissue.AIR]
    grain = LatticeNoise.draw(random, random.uniform(2.5, 3.5), (0.6, 1.5, 4.0))
    attenuation = np.zeros(grid.shape, dtype=np.float32)
    for tissue, texture in sublayers(anatomy, grid, grain, finer):
        attenuation += (level[tissue] + TEXTURE_HU[tissue] * texture) / finer
    smooth = ndimage.gaussian_filter(attenuation, (random.uniform(0.4, 0.7),) * 2 + (0.0,))
    smooth += random.uniform(8, 20) * _quantum_noise(grid.shape, random)
    stored = np.clip(np.rint(smooth), *RANGE_HU).astype(np.int16)
    return Volume(stored, grid.affine, modality="CT"), Volume(anatomy.structures(grid_points(grid)), grid.affine)


def _quantum_noise(shape: tuple[int, int, int], random: np.random.Generator) -> np.ndarray:
    """Return noise (i, j, k) of unit standard deviation, in each slice without low frequencies."""
    white = random.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(white, (0.7, 0.7, 0)) - ndimage.gaussian_filter(white, (2.0, 2.0, 0))
    return np.asarray(noise / noise.std(), dtype=np.float32)
