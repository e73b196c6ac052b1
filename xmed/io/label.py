"""Label: the structures that an expert drew, on the grid of the image they were drawn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from xmed.errors import XmedError
from xmed.io.dicom.instance import read_instances
from xmed.io.dicom.subject import check_same_subject
from xmed.io.file_kinds import file_kind, list_files, reader_errors
from xmed.io.lattice import match_to_grid
from xmed.io.nifti.file import read_nifti
from xmed.io.notes import add_note
from xmed.io.objects.read_seg import place_segments
from xmed.io.objects.rtstruct import rasterise_structures
from xmed.io.pictures.picture import read_label_picture
from xmed.labels import LabelTable
from xmed.volume import Volume

MIN_FILLED_SHARE = 0.5
"""A filled outline that takes less than this share of its convex hull was not closed."""


def read_label(
    path: str | Path,
    image: Volume,
    table: LabelTable,
    *,
    channel: int | None = None,
    roi: str | None = None,
    outline: bool = False,
) -> Volume:
    """Label values of `table` (i, j, k), uint8 where they fit, on exactly the grid of `image`.

    A NIfTI or a picture must lie on that grid already, its axes in whatever order and direction (see `match_to_grid`); a
    NIfTI without orientation only needs its shape and spacing. A DICOM SEG is placed on it, frame by frame; the
    contours of an RTSTRUCT are drawn on it. channel: which one of a 4-D NIfTI. roi: the RTSTRUCT's name for the one
    structure.
    outline: a NIfTI or picture shows outlines, and what each encloses is filled.

    Raises XmedError GRID_MISMATCH, FRAME_MISMATCH, MIXED_IDENTITY (a label of another patient), LABEL_VALUES,
    LABEL_MISSING, and those of the format's reader.
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
    """Drawn outlines → what they enclose, slice by slice; a structure that is filled already stays as it is.

    An outline that runs out of the picture encloses nothing: it is closed by its convex hull.
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
    array = match_to_grid(label, image.grid, name)
    values = table.check(array)
    if array.dtype.kind == "f" and (values != array).any():
        add_note("LABEL_ROUNDED", "label values within a thousandth of a whole number were rounded to it")
    return values
