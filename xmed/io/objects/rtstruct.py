"""RTSTRUCT: the ROIs of a structure set (PS3.3 C.8.8.5), each found by its name, as label values on an image's grid."""

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
    """Label values (i, j, k) from an RT Structure Set; where structures overlap, the later in `table` stands, noted.

    A structure is the ROI of its own name, whatever the case; a table of one structure takes `roi` instead, and without
    it also an ROI that is alone. Structures that were not drawn stay empty, but one at least must be there.

    Raises XmedError LABEL_MISSING, LABEL_VALUES, FRAME_MISMATCH, GRID_MISMATCH.
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
                "OVERLAP", f"{taken} voxels of {structure.name} overlap another structure: {structure.name} stands"
            )
        array[mask] = structure.value
        any_drawn = True
    if not any_drawn:
        names = ", ".join(sorted(str(item.get("ROIName", "")) for item in rois.values())) or "none"
        wanted = roi or ", ".join(table.names)
        raise XmedError("LABEL_MISSING", f"{instance.name} has the ROIs {names}", wanted, "set `roi` in the spec")
    return table.check(array)


def _rois_by_number(instance: Instance) -> dict[int, Dataset]:
    """ROIs by their number. Raises XmedError LABEL_VALUES for two of one number."""
    rois: dict[int, Dataset] = {}
    for item in instance.dataset.get("StructureSetROISequence") or ():
        number = _integer_or_none(item.get("ROINumber"))
        if number in rois:
            raise XmedError("LABEL_VALUES", f"{instance.name} has two ROIs of number {number}", "a number for each")
        if number is not None:
            rois[number] = item
    return rois


def _contours_by_roi(instance: Instance, rois: dict[int, Dataset]) -> dict[int, list[Dataset]]:
    """Contours by the number of their ROI; an ROI may have several items. Those of none are noted."""
    contours: dict[int, list[Dataset]] = {}
    stray = 0
    for item in instance.dataset.get("ROIContourSequence") or ():
        number, drawn_here = _integer_or_none(item.get("ReferencedROINumber")), list(item.get("ContourSequence") or ())
        if number is None or number not in rois:
            stray += len(drawn_here)
        else:
            contours.setdefault(number, []).extend(drawn_here)
    if stray:
        add_note("CONTOURS_STRAY", f"{stray} contours belong to no ROI that is listed, and were left out")
    return contours


def _integer_or_none(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _roi_number(rois: dict[int, Dataset], structure: Structure, roi: str | None, *, alone: bool) -> int | None:
    wanted = (roi or structure.name).casefold()
    same = [number for number, item in rois.items() if str(item.get("ROIName", "")).strip().casefold() == wanted]
    if len(same) > 1:
        raise XmedError("LABEL_VALUES", f"{len(same)} ROIs named '{wanted}'", "one")
    if not same and alone and roi is None and len(rois) == 1:
        return next(iter(rois))
    return same[0] if same else None


def _check_frame(item: Dataset, image: Volume, name: str) -> None:
    frame = str(item.get("ReferencedFrameOfReferenceUID", ""))
    if image.frame and frame and frame != image.frame:
        raise XmedError(
            "FRAME_MISMATCH", f"{name} was drawn in another frame of reference", "its image's", "pair the right files"
        )
