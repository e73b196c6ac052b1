"""Unpack the slices that a Siemens MR scanner stores in one image (mosaic).

The image is a square of tiles, filled row by row; unused tiles are black. Image Position is the corner of the whole
square, centred on the first slice. The number of slices and their direction are stated only in private attributes
(Brett et al., "Siemens mosaic format", nipy.org/nibabel/dicom/dicom_mosaic.html; dcm2niix reads them the same way).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

with warnings.catch_warnings():  # nibabel warns that its DICOM readers are experimental
    warnings.simplefilter("ignore", UserWarning)
    from nibabel.nicom import csareader

from xmed.errors import XmedError
from xmed.io.dicom.header import Header
from xmed.io.dicom.sop_classes import object_modality
from xmed.io.notes import add_note

MAX_FIELD_OF_VIEW_MM = 600.0
"""The bore limits the field of view: it is 600 to 700 mm wide, of which 500 mm are usable."""


@dataclass(frozen=True)
class Mosaic:
    """How to unpack a mosaic.

    Attributes:
        count: Number of slices.
        tiles_per_row: Tiles in each row of the square.
        normal: Unit vector (3,) from the first slice to the second.
        b_value: Diffusion b-value in s/mm², or None.
    """

    count: int
    tiles_per_row: int
    normal: np.ndarray
    b_value: float | None

    def unpack(self, square: np.ndarray) -> np.ndarray:
        """Return the tiles of shape (slices, rows, columns) from an image of shape (1, rows, columns)."""
        rows, columns = (n // self.tiles_per_row for n in square.shape[1:])
        tiles = square[0].reshape(self.tiles_per_row, rows, self.tiles_per_row, columns).swapaxes(1, 2)
        slices: np.ndarray = tiles.reshape(-1, rows, columns)[: self.count]
        return slices


def detect_mosaic(header: Header, name: str) -> Mosaic | None:
    """Return how to unpack an image, or None if it is not a mosaic.

    The structure decides: the number of tiles in the CSA header; if that header is missing, the number of tiles stated
    elsewhere, the size of the image in units of Acquisition Matrix, or a width larger than any scanner. The value
    MOSAIC in Image Type is only a hint, because scanners leave it in images that they have unpacked.

    Raises:
        XmedError: MULTI_VOLUME for a mosaic whose private attributes are missing or do not fit its size.
    """
    if int(header.get("NumberOfFrames") or 1) > 1 or "PerFrameFunctionalGroupsSequence" in header:
        return None
    word = "MOSAIC" in (header.get("ImageType") or ())
    if not (word or _tile_count(header) > 1 or _exceeds_scanner_bore(header)):
        return None
    csa = _csa_header(header)
    if csa is None and (
        _tile_count(header) > 1 or _exceeds_scanner_bore(header) or (word and _is_square_of_tiles(header))
    ):
        raise _unreadable_mosaic(name, "its private header is missing")
    if csa is None or (csareader.get_scalar(csa, "NumberOfImagesInMosaic") or 0) <= 1:
        if word:
            add_note("MOSAIC", "only Image Type says that the image is a mosaic: read as one slice")
        return None
    return _mosaic_from_csa(csa, header, name)


def is_mosaic(header: Header) -> bool:
    """Tell whether an image is a mosaic.

    Args:
        header: The header of an image.

    Returns:
        Whether it is one, even one that cannot be unpacked.
    """
    try:
        return detect_mosaic(header, "") is not None
    except XmedError:
        return True


def _mosaic_from_csa(csa: dict[str, Any], header: Header, name: str) -> Mosaic:
    """Return the mosaic that the CSA header describes, if it fits the image."""
    rows, columns = int(header["Rows"]), int(header["Columns"])
    try:
        count, normal = int(csareader.get_n_mosaic(csa)), np.asarray(csareader.get_slice_normal(csa), dtype=np.float64)
        weighting, number = csareader.get_b_value(csa), csareader.get_scalar(csa, "ProtocolSliceNumber")
    except Exception as problem:  # any error of the parser means an unreadable CSA header
        raise _unreadable_mosaic(name, "its private header is missing") from problem
    across = math.isqrt(max(count - 1, 0)) + 1
    if count < 1 or rows % across or columns % across or abs(np.linalg.norm(normal) - 1) > 1e-3:
        raise _unreadable_mosaic(name, f"{count} slices do not fit {rows} × {columns} pixels")
    if (number or 0) > 1:  # dcm2niix reverses such a stack, SPM does not
        raise _unreadable_mosaic(name, "its slices are numbered in reverse, which converters read in different ways")
    return Mosaic(count, across, normal, None if weighting is None else float(weighting))


def _csa_header(header: Header) -> dict[str, Any] | None:
    try:
        csa = csareader.get_csa_header(header.dataset)
    except Exception:  # any error means an unreadable CSA header
        return None
    return csa or None


def _tile_count(header: Header) -> int:
    """Return the number of tiles that Siemens states outside the CSA header, in (0019,xx0A); 0 if absent."""
    if not (header.raw("00190010") or b"").startswith(b"SIEMENS MR HEADER"):
        return 0
    return int.from_bytes(header.raw("0019100A") or b"", "little")


def _tile_side(header: Header) -> int | None:
    """Return the longer side of Acquisition Matrix (0018,1310) in pixels, or None."""
    matrix = header.get("AcquisitionMatrix") or ()
    sides = [int(n) for n in matrix if n] if isinstance(matrix, Sequence) else []
    return max(sides, default=None)


def _is_square_of_tiles(header: Header) -> bool:
    """Return whether the image can be a square of tiles of the Acquisition Matrix.

    Without Acquisition Matrix it can be one if Siemens made it.
    """
    tile = _tile_side(header)
    if tile is None:
        return "SIEMENS" in header.text("Manufacturer").upper()
    across = int(header["Rows"]) // tile
    return across > 1 and int(header["Rows"]) == int(header["Columns"]) == across * tile


def _exceeds_scanner_bore(header: Header) -> bool:
    """Return whether the image is larger than any scanner, because it consists of tiles."""
    spacing = header.get("PixelSpacing")
    if object_modality(header) != "MR" or not isinstance(spacing, Sequence) or len(spacing) != 2:
        return False
    sides = zip((header["Rows"], header["Columns"]), spacing)
    return (
        _tile_side(header) is not None
        and _is_square_of_tiles(header)
        and all(n * float(mm) > MAX_FIELD_OF_VIEW_MM for n, mm in sides)
    )


def _unreadable_mosaic(name: str, why: str) -> XmedError:
    return XmedError(
        "MULTI_VOLUME",
        f"{name} is a Siemens mosaic, all slices in one image, and {why}",
        "a mosaic with its CSA header",
        "export it again with private attributes, or unpacked",
    )
