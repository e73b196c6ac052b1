"""Arrange planes on one regular grid, or refuse them with the reason.

Planes are sorted by position along their normal, never by Instance Number. A stack is accepted only if dicom-numpy,
dicom2nifti and dcm2niix would all accept it, because each of them misses errors that another one finds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmed.errors import XmedError
from xmed.io.dicom.planes import Plane
from xmed.io.notes import add_note, collect_notes

SAME_POSITION_MM = 0.01
SPACING_TOLERANCE = 0.1  # of the slice distance; dicom-numpy's tolerance
DIRECTION_TOLERANCE = 1e-3  # on each cosine: 0.06 degrees
SHIFT_TOLERANCE = 0.1  # of a pixel over the whole stack, for rounded positions


def check_one_grid(planes: Sequence[Plane]) -> None:
    """Refuse planes that cannot lie on one grid.

    Raises:
        XmedError: MIXED_MATRIX, MIXED_ORIENTATION, MIXED_SPACING, MIXED_FRAME.
    """
    first = planes[0]
    for plane in planes:
        if plane.size != first.size:
            raise XmedError("MIXED_MATRIX", f"slices of {first.size} and {plane.size} pixels", "one matrix size")
        if not same_directions(plane, first):
            raise XmedError(
                "MIXED_ORIENTATION",
                f"slices along {_vector_text(first.normal)} and along {_vector_text(plane.normal)}",
                "parallel slices",
                "take the localizer out of the series",
            )
        if plane.spacing != first.spacing and not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise XmedError("MIXED_SPACING", f"pixels of {first.spacing} and {plane.spacing} mm", "one pixel spacing")
        if plane.frame != first.frame:
            raise XmedError("MIXED_FRAME", "slices with different frames of reference", "one frame of reference")


def same_plane_geometry(plane: Plane, other: Plane) -> bool:
    """Return whether two planes have the same matrix size, directions and pixel spacing."""
    return (
        plane.size == other.size
        and same_directions(plane, other)
        and np.allclose(plane.spacing, other.spacing, rtol=1e-3)
    )


def same_directions(plane: Plane, other: Plane) -> bool:
    """Return whether two planes have the same directions of rows and columns."""
    if plane.row is other.row and plane.column is other.column:
        return True
    return bool(np.abs([plane.row - other.row, plane.column - other.column]).max() <= DIRECTION_TOLERANCE)


def group_by_position(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Return planes in ascending order along their normal; those at the same position form one group."""
    normal = planes[0].normal
    groups: list[list[Plane]] = []
    for plane in sorted(planes, key=lambda plane: float(plane.position @ normal)):
        if groups and (plane.position - groups[-1][0].position) @ normal < SAME_POSITION_MM:
            groups[-1].append(plane)
        else:
            groups.append([plane])
    return groups


def affine_from_planes(planes: Sequence[Plane]) -> np.ndarray:
    """Return the matrix (4, 4) from voxel index (i, j, k) to LPS+ millimetres.

    i is the column index and runs along the row direction, j is the row index and runs along the column direction, k
    counts slices along row × column; the axes are right-handed (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1). With a tilted
    gantry each slice is shifted by the same step, and k is not orthogonal to i and j.

    Args:
        planes: Planes in ascending order, one at each position.

    Raises:
        XmedError: SLICE_GAP, IRREGULAR_SPACING, GANTRY_TILT, SPACING_INVALID.
    """
    first, last = planes[0], planes[-1]
    if len(planes) == 1:
        if first.thickness is None:
            raise XmedError("SPACING_INVALID", "a single slice without thickness", "Slice Thickness of 0.01 to 20 mm")
        slices = first.normal * first.thickness
    else:
        _check_regular(planes)
        slices = (last.position - first.position) / (len(planes) - 1)
    between_rows, between_columns = first.spacing
    affine = np.eye(4)
    affine[:3] = np.column_stack([first.row * between_columns, first.column * between_rows, slices, first.position])
    return affine


def is_regular(planes: Sequence[Plane]) -> bool:
    """Return whether planes form a regular grid; of several at one position only the first counts."""
    try:
        with collect_notes():  # a trial leaves no notes
            affine_from_planes([group[0] for group in group_by_position(planes)])
    except XmedError:
        return False
    return True


def _check_regular(planes: Sequence[Plane]) -> None:
    """Check that slices are equally spaced and shifted by equal steps; see `affine_from_planes` for the errors."""
    normal = planes[0].normal
    offsets = np.array([plane.position - planes[0].position for plane in planes])
    along = offsets @ normal
    across = offsets - np.outer(along, normal)  # shift within the plane
    even = np.outer(along / along[-1], across[-1])
    tolerance = max(SHIFT_TOLERANCE * min(planes[0].spacing), SAME_POSITION_MM)
    uneven = float(np.linalg.norm(across - even, axis=1).max())
    if uneven > tolerance:
        raise XmedError(
            "GANTRY_TILT",
            f"slices shifted by up to {uneven:.3g} mm in their plane, not by equal steps",
            "slices stacked along one line",
            "fetch the series again, or resample it before use",
        )
    if np.linalg.norm(across[-1]) > tolerance:
        angle = np.degrees(np.arctan2(np.linalg.norm(across[-1]), along[-1]))
        add_note("GANTRY_TILT", f"slices are stacked {angle:.1f}° off their normal: the affine keeps the shear")
    positions = along + planes[0].position @ normal
    steps = np.diff(along)
    step = steps.min()
    wrong = np.abs(steps / step - np.rint(steps / step)) * step > SPACING_TOLERANCE * step
    gaps = np.flatnonzero(np.rint(steps / step) > 1)
    if gaps.size and not wrong.any():
        places = [f"{positions[n] + m * step:.2f}" for n in gaps for m in range(1, int(np.rint(steps[n] / step)))]
        listed = ", ".join(places[:8]) + (" ..." if len(places) > 8 else "")
        raise XmedError(
            "SLICE_GAP",
            f"no slice at {listed} mm along the normal",
            f"a slice every {step:.3g} mm from {positions[0]:.2f} to {positions[-1]:.2f} mm",
            "fetch the whole series",
        )
    drift = np.abs(along - np.linspace(0.0, along[-1], len(planes))).max()
    if wrong.any() or drift > SPACING_TOLERANCE * step:
        raise XmedError(
            "IRREGULAR_SPACING",
            f"slices {steps.min():.3g} to {steps.max():.3g} mm apart",
            f"equal steps within {SPACING_TOLERANCE:.0%}",
        )


def _vector_text(vector: np.ndarray) -> str:
    return "(" + ", ".join(f"{x:.2f}" for x in vector) + ")"
