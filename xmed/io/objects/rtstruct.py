"""Read the regions of interest (ROIs) of an RTSTRUCT (PS3.3 C.8.8.5) as label values on the grid of an image."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.dicom.instance import Instance
from xmed.io.notes import add_note
from xmed.io.objects.contours import draw_contours
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume


def rasterise_structures(instance: Instance, image: Volume, table: LabelTable, roi: str | None = None) -> np.ndarray:
    """Return the label values of an RT Structure Set on the grid of an image.

    A structure is matched to the ROI of the same name, case-insensitively. A table with a single structure uses `roi`
    instead, or without `roi` the only ROI that there is. Structures that were not drawn stay empty. Where structures
    overlap, the later one in `table` is kept, and a note says so.

    Args:
        instance: The structure set.
        image: The image that was contoured.
        table: The structures to read.
        roi: Name of the ROI for a table with a single structure.

    Returns:
        Label values of shape (i, j, k).

    Raises:
        XmedError: LABEL_MISSING if no structure is found, LABEL_VALUES, FRAME_MISMATCH, GRID_MISMATCH.
    """
    rois = _rois_by_number(instance)
    contours = _contours_by_roi(instance, rois)
    array = np.zeros(image.array.shape, dtype=np.int32)
    any_drawn = False
    for structure in table:
        number = _roi_number(rois, structure, roi if len(table) == 1 else None, alone=len(table) == 1)
        if number is None:
            continue
        _check_frame(rois[number], image, instance.name)
        if not contours.get(number):
            add_note("ROI_EMPTY", f"{structure.name} is listed and has no contour: it stays empty")
        mask = draw_contours(contours.get(number, []), image.grid, structure.name)
        if taken := int(np.count_nonzero(array[mask])):
            add_note(
                "OVERLAP", f"{taken} voxels of {structure.name} overlap another structure: {structure.name} is kept"
            )
        array[mask] = structure.value
        any_drawn = True
    if not any_drawn:
        names = ", ".join(sorted(str(item.get("ROIName", "")) for item in rois.values())) or "none"
        expected = roi or ", ".join(table.names)
        raise XmedError("LABEL_MISSING", f"{instance.name} has the ROIs {names}", expected, "set `roi` in the spec")
    return table.check(array)


def _rois_by_number(instance: Instance) -> dict[int, Dataset]:
    """Return the ROIs by number; a number that occurs twice is an error."""
    rois: dict[int, Dataset] = {}
    for item in instance.dataset.get("StructureSetROISequence") or ():
        number = _integer_or_none(item.get("ROINumber"))
        if number in rois:
            raise XmedError("LABEL_VALUES", f"{instance.name} has two ROIs of number {number}", "a number for each")
        if number is not None:
            rois[number] = item
    return rois


def _contours_by_roi(instance: Instance, rois: dict[int, Dataset]) -> dict[int, list[Dataset]]:
    """Return the contours of each ROI number; contours of an unknown ROI are noted."""
    contours: dict[int, list[Dataset]] = {}
    stray = 0
    for item in instance.dataset.get("ROIContourSequence") or ():
        number, drawn_here = _integer_or_none(item.get("ReferencedROINumber")), list(item.get("ContourSequence") or ())
        if number is None or number not in rois:
            stray += len(drawn_here)
        else:
            contours.setdefault(number, []).extend(drawn_here)
    if stray:
        add_note("CONTOURS_STRAY", f"{stray} contours belong to no listed ROI and were left out")
    return contours


def _integer_or_none(value: object) -> int | None:
    """Return a value as an integer, or None."""
    try:
        return int(str(value))
    except ValueError:
        return None


def _roi_number(rois: dict[int, Dataset], structure: Structure, roi: str | None, *, alone: bool) -> int | None:
    """Return the number of the ROI of a structure, or None."""
    roi_name = (roi or structure.name).casefold()
    same = [number for number, item in rois.items() if str(item.get("ROIName", "")).strip().casefold() == roi_name]
    if len(same) > 1:
        raise XmedError("LABEL_VALUES", f"{len(same)} ROIs named '{roi_name}'", "one")
    if not same and alone and roi is None and len(rois) == 1:
        return next(iter(rois))
    return same[0] if same else None


def _check_frame(item: Dataset, image: Volume, name: str) -> None:
    """Refuse an ROI in another frame of reference than its image."""
    frame = str(item.get("ReferencedFrameOfReferenceUID", ""))
    if image.frame and frame and frame != image.frame:
        raise XmedError(
            "FRAME_MISMATCH",
            f"{name} was drawn in another frame of reference",
            "that of its image",
            "pair the right files",
        )
