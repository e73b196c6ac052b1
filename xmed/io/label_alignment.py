"""Bring a label map into the voxel order of its image, if both have the same voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from xmed.errors import XmedError
from xmed.io.nifti.orientation import degrees_between
from xmed.io.notes import add_note
from xmed.volume import GEOMETRY_TOLERANCE_MM, Grid, Volume


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
