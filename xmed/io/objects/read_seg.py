"""Read a DICOM Segmentation (SEG, PS3.3 C.8.20) onto the grid of an image."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from xmed.errors import XmedError
from xmed.io.dicom.frames import FrameAttributes
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.planes import Plane, has_planes, read_planes
from xmed.io.dicom.stated_sizes import check_pixel_size
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

PLACE_TOLERANCE = 0.05  # of a voxel


def place_segments(instance: Instance, image: Volume, table: LabelTable) -> np.ndarray:
    """Return the label values of a BINARY, FRACTIONAL or LABELMAP segmentation on the grid of an image.

    A segment is matched to a structure by its label, otherwise by its property type code; other segments are left out.
    FRACTIONAL segments are taken from 50 %. Frames may be cropped, or turned and mirrored by right angles, if their
    pixels coincide with voxels. Frames without a position go to the frames of an ultrasound film that they refer to by
    number.

    Args:
        instance: The segmentation.
        image: The image that was segmented.
        table: The structures to read.

    Returns:
        Label values of shape (i, j, k).

    Raises:
        XmedError: FRAME_MISMATCH, GRID_MISMATCH, LABEL_MISSING, LABEL_VALUES (segments overlap), NO_GEOMETRY (frames
            without position for an image that has one), and the codes of `check_pixel_size`.
    """
    check_pixel_size(instance)
    dataset = instance.dataset
    frame = str(dataset.get("FrameOfReferenceUID", ""))
    if image.frame and frame and frame != image.frame:
        raise XmedError("FRAME_MISMATCH", f"{instance.name} has another frame of reference", "that of its image")
    values = _values_by_segment(dataset, table, instance.name)
    pixels = pixel_array(dataset).reshape(-1, dataset.Rows, dataset.Columns)
    if dataset.SegmentationType == "FRACTIONAL":
        pixels = pixels >= int(dataset.MaximumFractionalValue) / 2
    array = np.zeros(image.array.shape, dtype=np.int32)
    to_index = np.linalg.inv(image.affine)
    planes = read_planes(instance) if has_planes(instance) else None
    for n, (frame_attributes, frame_pixels) in enumerate(zip(instance.frames, pixels)):
        if dataset.SegmentationType == "LABELMAP":
            masks_by_segment = {
                number: frame_pixels == number for number in np.unique(frame_pixels[frame_pixels > 0]).tolist()
            }
        else:
            masks_by_segment = {int(frame_attributes["ReferencedSegmentNumber"]): frame_pixels.astype(bool)}
        for number, mask in masks_by_segment.items():
            if number in values and mask.any():
                if planes is None:
                    voxels = _film_voxels(frame_attributes, mask, image, instance.name)
                else:
                    voxels = _voxels(planes[n], mask, to_index, array.shape, instance.name)
                _set_voxels(array, voxels, values[number])
    return table.check(array)


def _values_by_segment(dataset: Dataset, table: LabelTable, name: str) -> dict[int, int]:
    """Return the label value of each segment number that belongs to a structure of the table."""
    values: dict[int, int] = {}
    for segment in dataset.SegmentSequence:
        structure = _matching_structure(segment, table)
        if structure is not None:
            values[int(segment.SegmentNumber)] = structure.value
    if not values:
        labels = ", ".join(str(segment.get("SegmentLabel", "")) for segment in dataset.SegmentSequence)
        raise XmedError("LABEL_MISSING", f"{name} has the segments {labels}", f"one of {', '.join(table.names)}")
    if len(set(values.values())) < len(values):
        raise XmedError("LABEL_VALUES", f"{name} has two segments for one structure", "one segment for each")
    return values


def _matching_structure(segment: Dataset, table: LabelTable) -> Structure | None:
    """Return the structure of a segment, by label or by an unambiguous type code."""
    label = str(segment.get("SegmentLabel", "")).strip().casefold()
    for structure in table:
        if structure.name.casefold() == label:
            return structure
    codes = [str(item.get("CodeValue", "")) for item in segment.get("SegmentedPropertyTypeCodeSequence") or ()]
    same = [structure for structure in table if structure.type and structure.type in codes]
    return same[0] if len(same) == 1 else None


def _voxels(
    plane: Plane, mask: np.ndarray, to_index: np.ndarray, shape: tuple[int, ...], name: str
) -> tuple[np.ndarray, ...]:
    """Return the voxel indices (three arrays) of the pixels marked in `mask` (rows, columns)."""
    rows, columns = np.nonzero(mask)
    between_rows, between_columns = plane.spacing
    across = np.outer(columns * between_columns, plane.row) + np.outer(rows * between_rows, plane.column)
    ijk = (plane.position + across) @ to_index[:3, :3].T + to_index[:3, 3]
    whole = np.rint(ijk)
    away = float(np.abs(ijk - whole).max())
    if away > PLACE_TOLERANCE:
        raise XmedError("GRID_MISMATCH", f"{name} lies {away:.2f} voxels beside its image's grid", "the same grid")
    if (whole < 0).any() or (whole >= shape).any():
        raise XmedError("GRID_MISMATCH", f"{name} marks voxels outside its image", "segments inside the image")
    return tuple(whole.astype(int).T)


def _film_voxels(own: FrameAttributes, mask: np.ndarray, image: Volume, name: str) -> tuple[np.ndarray, ...]:
    """Return the voxel indices (three arrays) of marked pixels, in the film frame that `own` refers to."""
    if image.frame or image.modality != "US":
        raise XmedError(
            "NO_GEOMETRY", f"{name} does not state where its frames lie", "a position in space for every frame"
        )
    sources = own.get("SourceImageSequence") or []
    number = sources[0].get("ReferencedFrameNumber", 1) if len(sources) == 1 else None
    columns, rows, frames = image.array.shape
    if mask.shape != (rows, columns) or not isinstance(number, int) or not 1 <= number <= frames:
        raise XmedError(
            "GRID_MISMATCH",
            f"{name} has {mask.shape} pixels, drawn on frame {number}",
            f"frames of {image.array.shape}",
        )
    j, i = np.nonzero(mask)
    return i, j, np.full(len(i), number - 1)


def _set_voxels(array: np.ndarray, voxels: tuple[np.ndarray, ...], value: int) -> None:
    """Write a label value into voxels, which must not belong to another structure."""
    if (~np.isin(array[voxels], (0, value))).any():
        raise XmedError("LABEL_VALUES", "segments that overlap", "at most one structure in each voxel")
    array[voxels] = value
