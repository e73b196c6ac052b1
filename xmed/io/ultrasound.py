"""Ultrasound pictures and films without a place in the patient: scaled and cut by their calibrated regions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.fov import field_of_view
from xmed.io.instance import Instance
from xmed.io.pixels import filled, modality_values
from xmed.volume import Volume

TISSUE, COLOUR_FLOW = 1, 2  # Region Data Type (C.8.5.5.1.2)
TWO_DIMENSIONAL, CENTIMETRES = 1, 3  # Region Spatial Format, Physical Units (C.8.5.5.1.1, C.8.5.5.1.15)
FRAME_STEP_MM = 1.0
"""Nominal: the frames of a film follow each other in time, not in space."""


@dataclass(frozen=True)
class Region:
    """A calibrated part of the picture: columns and rows it covers (last ones included), mm per pixel along both."""

    columns: slice
    rows: slice
    spacing: tuple[float, float]


def regions_of(dataset: Dataset, kinds: Collection[int] = (TISSUE,)) -> list[Region]:
    """The regions of these kinds (Region Data Type) that are calibrated in centimetres (PS3.3 C.8.5.5)."""
    found = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        flat = item.get("RegionSpatialFormat") == TWO_DIMENSIONAL
        units = {item.get("PhysicalUnitsXDirection"), item.get("PhysicalUnitsYDirection")}
        if not flat or item.get("RegionDataType") not in kinds or units != {CENTIMETRES}:
            continue
        x, y = abs(float(item.PhysicalDeltaX)) * 10, abs(float(item.PhysicalDeltaY)) * 10
        columns = slice(max(int(item.RegionLocationMinX0), 0), max(int(item.RegionLocationMaxX1) + 1, 0))
        rows = slice(max(int(item.RegionLocationMinY0), 0), max(int(item.RegionLocationMaxY1) + 1, 0))
        found.append(Region(columns, rows, (x, y)))
    return found


def is_film(volume: Volume) -> bool:
    """Whether an ultrasound volume is a picture or a film: its third axis is time, and nothing in it has a volume."""
    x, y, _ = volume.spacing
    placed = volume.frame is not None or not np.allclose(volume.affine, np.diag([x, y, FRAME_STEP_MM, 1.0]))
    return volume.modality == "US" and not placed


def read_ultrasound(instance: Instance) -> Volume:
    """A picture or film as Volume: i columns, j rows, k frames; the first pixel is the origin, the axes are L, P, S.

    Spacing comes from the calibrated regions, the field of view is their union within the sector. A frame of reference
    is not taken over: nothing has a position in it.

    Raises XmedError US_NO_REGION, MIXED_SPACING, SPACING_INVALID and those of `modality_values`.
    """
    regions = regions_of(instance.dataset)
    if not regions:
        raise XmedError(
            "US_NO_REGION",
            f"{instance.name} has no tissue region calibrated in centimetres",
            "Sequence of Ultrasound Regions",
            "export with calibration, or ask the vendor how",
        )
    if any(not np.allclose(region.spacing, regions[0].spacing, rtol=1e-3) for region in regions):
        raise XmedError("MIXED_SPACING", f"{instance.name} has regions of different scale", "one scale per picture")
    x, y = regions[0].spacing
    if not 0.001 <= min(x, y) <= max(x, y) <= 20:
        raise XmedError("SPACING_INVALID", f"{instance.name} has pixels of {x:.4g} × {y:.4g} mm", "0.001 to 20 mm")
    array = filled(modality_values(instance)).transpose(2, 1, 0)
    covered = np.zeros(array.shape, dtype=bool)
    for region in regions:
        covered[region.columns, region.rows] = True
    sector = field_of_view(np.where(covered, array, array.min()), moving=True)
    return Volume(array, np.diag([x, y, FRAME_STEP_MM, 1.0]), modality=instance.modality, fov=covered & sector)
