"""Read the reference segmentation of an image, on the grid of that image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from xmed.errors import XmedError
from xmed.io.dicom.instance import read_instances
from xmed.io.dicom.subject import check_same_subject
from xmed.io.file_kinds import file_kind, list_files, reader_errors
from xmed.io.label_alignment import match_to_grid
from xmed.io.nifti.file import read_nifti
from xmed.io.notes import add_note
from xmed.io.objects.read_seg import place_segments
from xmed.io.objects.rtstruct import rasterise_structures
from xmed.io.pictures.picture import read_label_picture
from xmed.labels import LabelTable
from xmed.volume import Volume

MIN_FILLED_SHARE = 0.5
"""An outline whose filled area is less than this share of its convex hull is not closed."""


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
