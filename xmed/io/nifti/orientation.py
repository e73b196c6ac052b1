"""Compute the affine of a NIfTI file from its sform, qform and units, and note where they disagree."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from xmed.errors import XmedError
from xmed.io.notes import add_note
from xmed.volume import Grid

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
FORMS_APART_MM, FORMS_APART_DEGREES = 0.1, 1.0
SPACING_APART = 0.01  # relative difference of pixdim and sform that is noted
MIN_VOXEL_MM3 = 1e-9  # smallest voxel; below it the affine is singular
MAX_AXIS_COSINE = 1e-3
"""Cosine between two axes above which they are not orthogonal: 0.06 degrees."""
_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_METER, _MM, _MICRON; 0 (unknown) counts as millimetres


def affine_from_header(header: nib.Nifti1Header, name: str, image_grid: Grid | None = None) -> np.ndarray:
    """Return the affine of a NIfTI header: the sform if its code is set, otherwise the qform.

    These are methods 3 and 2 of nifti1.h. Images and labels are read by the same rule, so that a file whose sform and
    qform differ stays with its label. Metres and micrometres become millimetres. Shear is kept.

    Args:
        header: The header.
        name: File name for messages.
        image_grid: For a label map, the grid of its image; its affine is used if the label map has neither form, but
            the shape and spacing of the image.

    Returns:
        Matrix (4, 4) from voxel index to LPS+ millimetres.

    Raises:
        XmedError: NO_ORIENTATION, AFFINE_INVALID.
    """
    to_lps_mm = RAS_TO_LPS @ np.diag([_millimetres_per_unit(header)] * 3 + [1.0])
    sform, qform = header.get_sform(coded=True)[0], _qform(header, name)
    if sform is None and qform is None:
        return _affine_of_image(header, name, image_grid)
    affine: np.ndarray = to_lps_mm @ (qform if sform is None else sform)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < MIN_VOXEL_MM3:
        raise XmedError("AFFINE_INVALID", f"{name} has the affine {affine.tolist()}", "a finite one with an inverse")
    if sform is not None and qform is not None:
        _compare_forms(Grid(_shape(header), affine), to_lps_mm @ qform)
    if sform is not None and qform is None:
        _compare_spacing(header, sform)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    skew = float(np.abs(np.triu(axes.T @ axes, 1)).max())
    if skew > MAX_AXIS_COSINE:
        degrees = np.degrees(np.arcsin(min(skew, 1.0)))
        add_note("SHEAR", f"axes {degrees:.2f}° off the right angle: kept here, resampled for a network")
    return affine


def _millimetres_per_unit(header: nib.Nifti1Header) -> float:
    """Return the length of the header's unit in millimetres."""
    code = int(header["xyzt_units"]) & 7
    millimetres = _MM_PER_UNIT.get(code, 1.0)
    if code not in (0, 2):
        add_note("UNITS", f"lengths in unit {code} of NIfTI became millimetres, times {millimetres:g}")
    return millimetres


def _qform(header: nib.Nifti1Header, name: str) -> np.ndarray | None:
    """Return the qform if its code is set; an invalid one is an error only if there is no sform."""
    placed = header["sform_code"] > 0
    try:
        qform: np.ndarray | None = header.get_qform(coded=True)[0]
        if qform is not None and not np.isfinite(qform).all():
            raise ValueError("NaN in the qform")
        return qform
    except (ValueError, nib.spatialimages.HeaderDataError) as problem:
        if not placed:
            raise XmedError("AFFINE_INVALID", f"{name} has no unit quaternion", "a valid qform") from problem
        add_note("FORMS", "a qform that is not a rotation was ignored: the sform is used")
        return None


def _compare_forms(taken: Grid, qform: np.ndarray) -> None:
    """Note a qform that moves a corner or turns an axis by more than the tolerance. The sform is used."""
    if abs(np.linalg.det(qform[:3, :3])) < MIN_VOXEL_MM3:
        add_note("FORMS", "a singular qform was ignored: the sform is used")
        return
    other = Grid(taken.shape, qform)
    apart, turned = taken.distance(other), degrees_between(taken, other)
    if apart > FORMS_APART_MM or turned > FORMS_APART_DEGREES:
        add_note("FORMS", f"sform and qform are up to {apart:.3g} mm and {turned:.1f}° apart: the sform is used")


def _compare_spacing(header: nib.Nifti1Header, sform: np.ndarray) -> None:
    """Note a pixdim that states another spacing than the sform, which is used."""
    stated, own = np.abs(header["pixdim"][1:4].astype(float)), np.linalg.norm(sform[:3, :3], axis=0)
    judged = [axis for axis, count in enumerate(_shape(header)) if count > 1 and stated[axis] > 0]
    if not np.allclose(stated[judged], own[judged], rtol=SPACING_APART):
        add_note("PIXDIM", f"pixdim {stated.round(4).tolist()} was ignored: the spacing of the sform is used")


def _shape(header: nib.Nifti1Header) -> tuple[int, int, int]:
    """Return the first three dimensions; a missing one counts as 1."""
    dimensions = int(header["dim"][0])
    i, j, k = (int(header["dim"][axis]) if axis <= dimensions else 1 for axis in (1, 2, 3))
    return i, j, k


def degrees_between(grid: Grid, other: Grid) -> float:
    """Return the largest angle in degrees between corresponding axes of two grids; 180 for an opposite axis."""
    cosines = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(grid.affine[:3, :3].T, other.affine[:3, :3].T)
    ]
    return float(np.degrees(np.arccos(np.clip(min(cosines), -1.0, 1.0))))


def _affine_of_image(header: nib.Nifti1Header, name: str, image_grid: Grid | None) -> np.ndarray:
    """Return the affine of the image for a label map without orientation, if shape and spacing agree."""
    if image_grid is not None:
        spacing = np.abs(header["pixdim"][1:4].astype(float)) * _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
        if _shape(header) == image_grid.shape and np.allclose(spacing, image_grid.spacing, rtol=1e-3):
            add_note(
                "LABEL_UNPLACED",
                "a label map without orientation got the affine of its image, which has the same shape and spacing",
            )
            return image_grid.affine
    raise XmedError(
        "NO_ORIENTATION",
        f"{name} has sform and qform code 0",
        "an orientation, because without one readers disagree about left and right",
        "convert it again from DICOM",
    )
