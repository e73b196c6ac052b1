"""RTSTRUCT: closed planar contours (PS3.3 C.8.8.6) drawn onto an image's grid."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.instance import Instance
from xmed.labels import LabelTable, Structure
from xmed.volume import Grid, Volume

SAMPLES = 8
"""Samples per pixel edge; a pixel belongs to a structure when at least half of its samples lie inside."""
PLANE_TOLERANCE = 0.25  # of the slice distance, between a contour and the slice it is drawn on


def rasterise(instance: Instance, image: Volume, table: LabelTable, roi: str | None = None) -> np.ndarray:
    """Label values (i, j, k), uint8, from an RT Structure Set; where structures overlap, the later in `table` stands.

    A structure is the ROI of its own name, whatever the case; a table of one structure takes `roi` instead, and without
    it also an ROI that is alone. Structures that were not drawn stay empty, but one at least must be there.

    Raises XmedError LABEL_MISSING, FRAME_MISMATCH, GRID_MISMATCH.
    """
    rois = {int(item.ROINumber): item for item in instance.dataset.get("StructureSetROISequence") or ()}
    drawn = {
        int(item.ReferencedROINumber): list(item.get("ContourSequence") or ())
        for item in instance.dataset.get("ROIContourSequence") or ()
    }
    array = np.zeros(image.array.shape, dtype=np.uint8)
    found = False
    for structure in table:
        number = _number(rois, structure, roi if len(table) == 1 else None, alone=len(table) == 1)
        if number is None:
            continue
        _same_frame(rois[number], image, instance.name)
        array[_filled(drawn.get(number, []), image.grid, structure.name)] = structure.value
        found = True
    if not found:
        names = ", ".join(sorted(str(item.get("ROIName", "")) for item in rois.values())) or "none"
        wanted = roi or ", ".join(table.names)
        raise XmedError("LABEL_MISSING", f"{instance.name} has the ROIs {names}", wanted, "set `roi` in the spec")
    return array


def _number(rois: dict[int, Dataset], structure: Structure, roi: str | None, *, alone: bool) -> int | None:
    wanted = (roi or structure.name).casefold()
    same = [number for number, item in rois.items() if str(item.get("ROIName", "")).strip().casefold() == wanted]
    if len(same) > 1:
        raise XmedError("LABEL_VALUES", f"{len(same)} ROIs named '{wanted}'", "one")
    if not same and alone and roi is None and len(rois) == 1:
        return next(iter(rois))
    return same[0] if same else None


def _same_frame(item: Dataset, image: Volume, name: str) -> None:
    frame = str(item.get("ReferencedFrameOfReferenceUID", ""))
    if image.frame and frame and frame != image.frame:
        raise XmedError(
            "FRAME_MISMATCH", f"{name} was drawn in another frame of reference", "its image's", "pair the right files"
        )


def _filled(contours: list[Dataset], grid: Grid, name: str) -> np.ndarray:
    """Mask (i, j, k) of closed contours. Contours of one slice are combined even-odd: one inside another is a hole."""
    mask = np.zeros(grid.shape, dtype=bool)
    slices: dict[int, list[np.ndarray]] = {}
    to_index = np.linalg.inv(grid.affine)
    outside = 0
    for contour in contours:
        if contour.get("ContourGeometricType", "CLOSED_PLANAR") not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
            continue
        points = np.array([float(n) for n in contour.ContourData]).reshape(-1, 3)
        ijk = points @ to_index[:3, :3].T + to_index[:3, 3]
        k = round(float(ijk[:, 2].mean()))
        if np.abs(ijk[:, 2] - k).max() > PLANE_TOLERANCE:
            raise XmedError(
                "GRID_MISMATCH",
                f"a contour of {name} at slice {ijk[:, 2].min():.2f} to {ijk[:, 2].max():.2f}",
                "contours drawn on the image's own slices",
                "take the series that the RTSTRUCT refers to",
            )
        if 0 <= k < grid.shape[2]:
            slices.setdefault(k, []).append(ijk[:, :2])
        else:
            outside += 1
    if outside and not slices:
        raise XmedError("GRID_MISMATCH", f"all {outside} contours of {name} lie outside the image", "contours inside")
    for k, polygons in slices.items():
        mask[:, :, k] = _cover(polygons, grid.shape[0], grid.shape[1]) >= 0.5
    return mask


def _cover(polygons: list[np.ndarray], width: int, height: int) -> np.ndarray:
    """Share (width, height) of each pixel inside polygons of (n, 2) pixel coordinates, even-odd, by SAMPLES² samples.

    Each edge switches inside and outside for all samples right of it in the sample rows that it crosses.
    """
    switches = np.zeros((width * SAMPLES + 1, height * SAMPLES), dtype=np.int32)
    for polygon in polygons:
        # Sample n has its centre at (n + ½) / SAMPLES − ½ pixels: in these units the centres are whole numbers.
        start = (polygon + 0.5) * SAMPLES - 0.5
        end = np.roll(start, -1, axis=0)
        low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
        first = np.clip(np.ceil(low), 0, height * SAMPLES).astype(int)
        last = np.clip(np.ceil(high), 0, height * SAMPLES).astype(int)  # half open, so a shared corner counts once
        edge = np.repeat(np.arange(len(start)), last - first)
        row = np.concatenate([np.arange(a, b) for a, b in zip(first, last)] or [np.zeros(0)]).astype(int)
        slope = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
        crossing = start[edge, 0] + slope * (end[edge, 0] - start[edge, 0])
        np.add.at(switches, (np.clip(np.ceil(crossing), 0, width * SAMPLES).astype(int), row), 1)
    inside = np.cumsum(switches[:-1], axis=0) % 2
    return inside.reshape(width, SAMPLES, height, SAMPLES).mean(axis=(1, 3))
