"""Mosaic: the slices that a Siemens MR scanner packs into one picture, taken apart again.

The picture is a square of tiles, filled row by row, the rest of them black. Its Image Position is the corner of the
whole square laid around the first slice's centre; how many slices there are, and which way they go, stands in private
attributes alone (Brett et al., "Siemens mosaic format", nipy.org/nibabel/dicom/dicom_mosaic.html; dcm2niix does as told
there).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

with warnings.catch_warnings():  # nibabel calls its DICOM readers experimental; only its CSA header parser is used
    warnings.simplefilter("ignore", UserWarning)
    from nibabel.nicom import csareader

from xmed.errors import XmedError
from xmed.io.dicom.header import Header
from xmed.io.dicom.sop_classes import object_modality
from xmed.io.notes import add_note

MAX_FIELD_OF_VIEW_MM = 600.0
"""Fields of view end with the bore: 600 to 700 mm, and 500 mm of it are usable."""


@dataclass(frozen=True)
class Mosaic:
    """count: slices. across: tiles in a row of the square. normal: (3,), from the first slice to the second.

    weighting: diffusion b-value in s/mm², or None where the header says none.
    """

    count: int
    tiles_per_row: int
    normal: np.ndarray
    b_value: float | None

    def unpack(self, square: np.ndarray) -> np.ndarray:
        """The tiles (slices, rows, columns) of a square (1, rows, columns)."""
        rows, columns = (n // self.tiles_per_row for n in square.shape[1:])
        tiles = square[0].reshape(self.tiles_per_row, rows, self.tiles_per_row, columns).swapaxes(1, 2)
        return tiles.reshape(-1, rows, columns)[: self.count]


def detect_mosaic(header: Header, name: str) -> Mosaic | None:
    """How to take an image apart; None for any image that is no mosaic.

    Structure decides: the CSA header's count of tiles, or where that header is gone, the count that is told beside it,
    the size of the picture in tiles of its Acquisition Matrix, and a width that no scanner has room for. The word
    MOSAIC in Image Type is a hint to look: scanners leave it in pictures that they have taken apart themselves.

    Raises XmedError MULTI_VOLUME for a mosaic whose private attributes are gone or do not fit its size.
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
        raise _unreadable_mosaic(name, "its private header is gone")
    if csa is None or (csareader.get_scalar(csa, "NumberOfImagesInMosaic") or 0) <= 1:
        if word:
            add_note("MOSAIC", "nothing but a word in Image Type says that the picture is a mosaic: read as one slice")
        return None
    return _mosaic_from_csa(csa, header, name)


def is_mosaic(header: Header) -> bool:
    """Whether an image is a mosaic, one that can be taken apart or not."""
    try:
        return detect_mosaic(header, "") is not None
    except XmedError:
        return True


def _mosaic_from_csa(csa: dict[str, Any], header: Header, name: str) -> Mosaic:
    rows, columns = int(header["Rows"]), int(header["Columns"])
    try:
        count, normal = int(csareader.get_n_mosaic(csa)), np.array(csareader.get_slice_normal(csa), dtype=float)
        weighting, number = csareader.get_b_value(csa), csareader.get_scalar(csa, "ProtocolSliceNumber")
    except Exception as problem:  # the parser of a private binary format: whatever it throws means the same
        raise _unreadable_mosaic(name, "its private header is gone") from problem
    across = math.isqrt(max(count - 1, 0)) + 1
    if count < 1 or rows % across or columns % across or abs(np.linalg.norm(normal) - 1) > 1e-3:
        raise _unreadable_mosaic(name, f"{count} slices do not fit {rows} × {columns} pixels")
    if (number or 0) > 1:  # dcm2niix turns such a stack round, SPM does not, and neither calls it tested
        raise _unreadable_mosaic(name, "its slices are numbered in reverse, which converters read in different ways")
    return Mosaic(count, across, normal, None if weighting is None else float(weighting))


def _csa_header(header: Header) -> dict[str, Any] | None:
    try:
        csa = csareader.get_csa_header(header.dataset)
    except Exception:  # as above
        return None
    return csa or None


def _tile_count(header: Header) -> int:
    """The number of tiles that Siemens tells outside of the CSA header, in (0019,xx0A); 0 where it does not."""
    if not (header.raw("00190010") or b"").startswith(b"SIEMENS MR HEADER"):
        return 0
    return int.from_bytes(header.raw("0019100A") or b"", "little")


def _tile_side(header: Header) -> int | None:
    """The longer side of the Acquisition Matrix (0018,1310), in pixels."""
    matrix = header.get("AcquisitionMatrix") or ()
    sides = [int(n) for n in matrix if n] if isinstance(matrix, Sequence) else []
    return max(sides, default=None)


def _is_square_of_tiles(header: Header) -> bool:
    """Whether the picture may be a square of tiles: of Acquisition Matrices; where that is unknown, by the maker."""
    tile = _tile_side(header)
    if tile is None:
        return "SIEMENS" in header.text("Manufacturer").upper()
    across = int(header["Rows"]) // tile
    return across > 1 and int(header["Rows"]) == int(header["Columns"]) == across * tile


def _exceeds_scanner_bore(header: Header) -> bool:
    """Whether a picture of tiles is wider and higher than any scanner: each pixel is as large as those of a tile."""
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
        f"{name} is a Siemens mosaic, all slices in one picture, and {why}",
        "a mosaic with its CSA header",
        "export it again with private attributes, or unpacked",
    )
