"""Read the reference segmentation of an image, on the grid and in the voxel order of that image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from scipy import ndimage
from skimage.morphology import convex_hull_image

from xmed.errors import XmedError
from xmed.io.dicom.instance import read_instances
from xmed.io.dicom.subject import check_same_subject
from xmed.io.file_kinds import file_kind, list_files, reader_errors
from xmed.io.nifti.file import read_nifti
from xmed.io.nifti.orientation import degrees_between
from xmed.io.notes import add_note
from xmed.io.objects.read_seg import place_segments
from xmed.io.objects.rtstruct import rasterise_structures
from xmed.io.pictures.picture import read_label_picture
from xmed.labels import LabelTable
from xmed.volume import GEOMETRY_TOLERANCE_MM, Grid, Volume

MIN_FILLED_SHARE = 0.5
"""An outline whose filled area is less than this share of its convex hull is not closed."""


def match_to_grid(label: Volume, grid: Grid, name: str) -> np.ndarray:
    """Return the values of a label map in the voxel order of an image grid.

    Converters write the axes of an image in different orders and directions (dcm2niix flips j, dicom2nifti flips i and
    j). The affine says where each voxel lies. Axes are matched by direction. Afterwards no voxel may lie farther than
    GEOMETRY_TOLERANCE_MM from its counterpart; over 27 series, dcm2niix stayed within 0.0021 mm.

    Args:
        label: The label map.
        grid: The grid of the image.
        name: File name for messages.

    Returns:
        Label values of shape `grid.shape`.

    Raises:
        XmedError: GRID_MISMATCH, with the distance of the farthest voxel.
    """
    matched = _with_matched_axes(label, grid)
    if matched.array.shape != grid.shape:
        raise _shape_error(label, matched, grid, name)
    if not matched.grid.same(grid):
        away, turned = matched.grid.distance(grid), degrees_between(matched.grid, grid)
        raise XmedError(
            "GRID_MISMATCH",
            f"{name} lies up to {away:.3g} mm and {turned:.1f}° from its image, axes matched by direction",
            f"the same voxels, within {GEOMETRY_TOLERANCE_MM} mm",
            "export it again on the image's grid, or resample it there",
        )
    if not label.grid.same(grid):
        add_note("LABEL_REORDERED", "the label's axes ran in another order or direction: reordered, no voxel moved")
    return matched.array


def _with_matched_axes(label: Volume, grid: Grid) -> Volume:
    """Permute and flip the axes so that each runs as nearly as possible along the same axis of the grid."""
    along = np.eye(4)
    along[:3, :3] = np.linalg.inv(_directions(grid)) @ _directions(label.grid)
    order = io_orientation(along)
    affine = label.affine @ inv_ornt_aff(order, label.array.shape)
    return replace(label, array=apply_orientation(label.array, order), affine=affine)


def _directions(grid: Grid) -> np.ndarray:
    """Return the unit vectors (3, 3) of the axes, one in each column."""
    directions: np.ndarray = grid.affine[:3, :3] / np.array(grid.spacing)
    return directions


def _shape_error(label: Volume, matched: Volume, grid: Grid, name: str) -> XmedError:
    """Return the error for a label of another shape; it says whether the label is a part of the image's voxels."""
    ends = np.linalg.inv(grid.affine) @ np.column_stack([matched.grid.corners(), np.ones(8)]).T
    away = float(np.abs(ends[:3] - np.rint(ends[:3])).max())
    within = (ends[:3] > -0.5).all() and (np.array(grid.shape) - 0.5 > ends[:3].T).all()
    steps = np.abs(np.linalg.inv(grid.affine[:3, :3]) @ matched.affine[:3, :3] - np.eye(3)).max()
    part = within and away * min(grid.spacing) <= GEOMETRY_TOLERANCE_MM and steps < 1e-3
    what = f"{name} has shape {label.array.shape}"
    if label.array.shape != matched.array.shape:
        what += f", in its image's order {matched.array.shape}"
    return XmedError(
        "GRID_MISMATCH",
        what + (": a part of its image's voxels" if part else ""),
        f"that of its image, {grid.shape}",
        "pad it with zeros to the whole image" if part else "export it again on the image's grid, or resample it there",
    )


def read_label(
    path: str | Path,
    image: Volume,
    table: LabelTable,
    *,
    channel: int | None = None,
    roi: str | None = None,
    outline: bool = False,
) -> Volume:
    """Read a label map onto exactly the grid of its image.

    NIfTI files and pictures must already lie on that grid; their axes may have any order and direction (see
    `match_to_grid`). A NIfTI file without orientation needs only the same shape and spacing. The frames of a DICOM SEG
    are placed on the grid, and the contours of an RTSTRUCT are drawn on it.

    Args:
        path: NIfTI, picture, DICOM SEG or RTSTRUCT, or a folder with one DICOM object.
        image: The image that was segmented.
        table: Label values and the names and codes of the structures.
        channel: Which volume of a 4-D NIfTI file, from 0.
        roi: Name of the ROI in an RTSTRUCT, if `table` has a single structure.
        outline: Whether a NIfTI file or picture holds outlines that must be filled.

    Returns:
        Label values of `table` of shape (i, j, k), uint8 where they fit.

    Raises:
        XmedError: GRID_MISMATCH, FRAME_MISMATCH, MIXED_IDENTITY (another patient than the image), LABEL_VALUES,
            LABEL_MISSING, and the codes of the reader of each format.
    """
    path = Path(path)
    kind = file_kind(path) if not path.is_dir() else "dicom"
    if kind in ("nifti", "picture"):
        label = (
            read_nifti(path, channel=channel, image_grid=image.grid) if kind == "nifti" else read_label_picture(path)
        )
        array = _checked_values(label, image, table, path.name)
        return image.with_array(fill_outlines(array) if outline else array)
    instances = read_instances(list_files(path))
    if len(instances) != 1:
        raise XmedError("NOT_DICOM", f"{len(instances)} DICOM objects in {path.name}", "one SEG or RTSTRUCT")
    with reader_errors(path.name):
        check_same_subject(path.name, instances[0].header, image.subject)
        if instances[0].modality == "RTSTRUCT":
            array = rasterise_structures(instances[0], image, table, roi)
        elif instances[0].modality == "SEG":
            array = place_segments(instances[0], image, table)
        else:
            raise XmedError("NON_IMAGE", f"{path.name} holds {instances[0].kind}", "a SEG, an RTSTRUCT or a NIfTI")
    return image.with_array(array)


def fill_outlines(array: np.ndarray) -> np.ndarray:
    """Fill drawn outlines slice by slice; structures that are already filled do not change.

    An outline that leaves the image is not closed. It is replaced by its convex hull.

    Args:
        array: Label values of shape (i, j, k).

    Returns:
        Label values of shape (i, j, k).
    """
    out = array.copy()
    for k in range(array.shape[2]):
        for value in np.unique(array[:, :, k]):
            drawn = array[:, :, k] == value
            if value == 0:
                continue
            filled = ndimage.binary_fill_holes(drawn)
            hull = convex_hull_image(drawn, offset_coordinates=False)
            inside = hull if filled.sum() < MIN_FILLED_SHARE * hull.sum() else filled
            out[:, :, k][inside & (out[:, :, k] == 0)] = value
    return out


def _checked_values(label: Volume, image: Volume, table: LabelTable, name: str) -> np.ndarray:
    """Return the values of a label map in the order of its image, checked against the table."""
    array = match_to_grid(label, image.grid, name)
    values = table.check(array)
    if array.dtype.kind == "f" and (values != array).any():
        add_note("LABEL_ROUNDED", "label values within a thousandth of a whole number were rounded to it")
    return values
