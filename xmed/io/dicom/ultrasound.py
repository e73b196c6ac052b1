"""Read ultrasound images and films that have no position in the patient, scaled by their calibrated regions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.pixels import fill_padding, modality_values
from xmed.io.dicom.stated_sizes import compare_spacing
from xmed.io.dicom.subject import subject_digests
from xmed.io.field_of_view import field_of_view
from xmed.io.notes import add_note
from xmed.volume import Volume

TISSUE, COLOUR_FLOW = 1, 2  # Region Data Type (C.8.5.5.1.2)
TWO_DIMENSIONAL, CENTIMETRES = 1, 3  # Region Spatial Format, Physical Units (C.8.5.5.1.1, C.8.5.5.1.15)
MAX_SHARE_OUTSIDE = 0.5
"""Share of the sector outside all regions above which the regions may belong to a smaller version of the image: an
enlargement by 1.5 leaves 56 % outside, text around a sector at most a third.
"""
FRAME_STEP_MM = 1.0
"""Nominal, because the frames of a film follow each other in time."""


@dataclass(frozen=True)
class UltrasoundRegion:
    """A calibrated region of the image.

    Attributes:
        columns: Columns that it covers.
        rows: Rows that it covers.
        spacing: mm per pixel along columns and rows.
    """

    columns: slice
    rows: slice
    spacing: tuple[float, float]


def calibrated_regions(dataset: Dataset, kinds: Collection[int] = (TISSUE,)) -> list[UltrasoundRegion]:
    """Read the regions of certain data types that are calibrated in centimetres (PS3.3 C.8.5.5).

    Args:
        dataset: The image.
        kinds: Values of Region Data Type.

    Returns:
        The regions, in the order of the header.

    Raises:
        XmedError: US_NO_REGION for a region outside the image, or without position or scale.
    """
    regions = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        flat = item.get("RegionSpatialFormat") == TWO_DIMENSIONAL
        units = {item.get("PhysicalUnitsXDirection"), item.get("PhysicalUnitsYDirection")}
        if flat and item.get("RegionDataType") in kinds and units == {CENTIMETRES}:
            regions.append(_region(item, int(dataset.Rows), int(dataset.Columns)))
    return regions


def _region(item: Dataset, rows: int, columns: int) -> UltrasoundRegion:
    """Return one region of an image with that many rows and columns. Its limits are pixels (PS3.3 C.8.5.5.1.3)."""
    try:
        x0, y0, x1, y1 = (int(item[f"RegionLocation{end}"].value) for end in ("MinX0", "MinY0", "MaxX1", "MaxY1"))
        across, down = (abs(float(item[f"PhysicalDelta{axis}"].value)) * 10 for axis in "XY")
    except (KeyError, TypeError, ValueError) as problem:
        raise XmedError("US_NO_REGION", "a tissue region without position or scale", "both, complete") from problem
    if not (0 <= x0 <= x1 <= columns and 0 <= y0 <= y1 <= rows and x0 < columns and y0 < rows):
        raise XmedError(
            "US_NO_REGION",
            f"a region over columns {x0} to {x1}, rows {y0} to {y1} of a picture of {columns} × {rows} pixels",
            "regions inside the picture",
            "its regions belong to another size of the image: export it with its own",
        )
    if x1 == columns or y1 == rows:
        add_note(
            "REGION_EDGE", "a region ends one pixel beyond the image: its size was stated instead of its last pixel"
        )
    return UltrasoundRegion(slice(x0, min(x1 + 1, columns)), slice(y0, min(y1 + 1, rows)), (across, down))


def is_film(volume: Volume) -> bool:
    """Tell whether a volume is an ultrasound image or film without a position in the patient.

    The third axis of a film is time, and its structures have no volume in mL.

    Args:
        volume: The volume.

    Returns:
        Whether it is an ultrasound image or film.
    """
    x, y, _ = volume.spacing
    placed = volume.frame is not None or not np.allclose(volume.affine, np.diag([x, y, FRAME_STEP_MM, 1.0]))
    return volume.modality == "US" and not placed


def read_ultrasound(instance: Instance) -> Volume:
    """Read an image or a film as a Volume.

    The spacing comes from the calibrated regions. The field of view is their union within the sector. The frame of
    reference is not kept, because nothing has a position in it.

    Args:
        instance: The ultrasound object.

    Returns:
        Array of shape (columns, rows, frames); the origin is the first pixel, the axes are L, P and S.

    Raises:
        XmedError: US_NO_REGION, MIXED_SPACING, SPACING_INVALID, and the codes of `modality_values`.
    """
    regions = calibrated_regions(instance.dataset)
    if not regions:
        raise XmedError(
            "US_NO_REGION",
            f"{instance.name} has no tissue region calibrated in centimetres",
            "Sequence of Ultrasound Regions",
            "export it with calibration, or ask the vendor",
        )
    if any(not np.allclose(region.spacing, regions[0].spacing, rtol=1e-3) for region in regions):
        raise XmedError("MIXED_SPACING", f"{instance.name} has regions of different scale", "one scale per picture")
    x, y = regions[0].spacing
    if not 0.001 <= min(x, y) <= max(x, y) <= 20:
        raise XmedError("SPACING_INVALID", f"{instance.name} has pixels of {x:.4g} × {y:.4g} mm", "0.001 to 20 mm")
    array = fill_padding(modality_values(instance)).transpose(2, 1, 0)
    covered = np.zeros(array.shape, dtype=bool)
    for region in regions:
        covered[region.columns, region.rows] = True
    compare_spacing(instance.header, y, x, calibrated=True)
    _check_regions_cover_picture(array, covered, instance.name)
    sector = field_of_view(np.where(covered, array, array.min()), moving=True)
    affine, subject = np.diag([x, y, FRAME_STEP_MM, 1.0]), subject_digests(instance.header)
    return Volume(array, affine, modality=instance.modality, fov=covered & sector, subject=subject)


def _check_regions_cover_picture(array: np.ndarray, covered: np.ndarray, name: str) -> None:
    """Check that the regions contain the drawn part of the image.

    Raises:
        XmedError: US_NO_REGION if nothing is drawn in them.
    """
    drawn = array > array.min()
    if drawn.any() and not drawn[covered].any():
        raise XmedError(
            "US_NO_REGION", f"{name} shows an image only outside its regions",
            "regions around the tissue", "they belong to another size of the image: export it with its own",
        )  # fmt: skip
    sector = field_of_view(array, moving=True)
    outside = (sector & ~covered).sum() / max(sector.sum(), 1)
    if outside > MAX_SHARE_OUTSIDE:
        add_note("REGION_SMALL", f"{outside:.0%} of the drawn image lies outside the calibrated regions")
