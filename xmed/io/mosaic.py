"""Mosaic: the slices that a Siemens MR scanner packs into one picture, taken apart again.

The picture is a square of tiles, filled row by row, the rest of them black. Its Image Position is the corner of the
whole square laid around the first slice's centre; how many slices there are, and which way they go, stands in private
attributes alone (Brett et al., "Siemens mosaic format", nipy.org/nibabel/dicom/dicom_mosaic.html; dcm2niix does as told
there).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

with warnings.catch_warnings():  # nibabel calls its DICOM readers experimental; only its CSA header parser is used
    warnings.simplefilter("ignore", UserWarning)
    from nibabel.nicom import csareader

from xmed.errors import XmedError
from xmed.io.header import Header


@dataclass(frozen=True)
class Mosaic:
    """count: slices. across: tiles in a row of the square. normal: (3,), from the first slice to the second.

    weighting: diffusion b-value in s/mm², or None where the header says none.
    """

    count: int
    across: int
    normal: np.ndarray
    weighting: float | None

    def unpacked(self, square: np.ndarray) -> np.ndarray:
        """The tiles (slices, rows, columns) of a square (1, rows, columns)."""
        rows, columns = (n // self.across for n in square.shape[1:])
        tiles = square[0].reshape(self.across, rows, self.across, columns).swapaxes(1, 2)
        return tiles.reshape(-1, rows, columns)[: self.count]


def mosaic_of(header: Header, name: str) -> Mosaic | None:
    """How to take an image apart; None for any image that is no mosaic.

    Raises XmedError MULTI_VOLUME for a mosaic whose private attributes are gone or do not fit its size.
    """
    if "MOSAIC" not in (header.get("ImageType") or ()):
        return None
    dataset = header.dataset
    try:
        csa = csareader.get_csa_header(dataset)
        count, normal = int(csareader.get_n_mosaic(csa)), np.array(csareader.get_slice_normal(csa), dtype=float)
        weighting, number = csareader.get_b_value(csa), csareader.get_scalar(csa, "ProtocolSliceNumber")
    except Exception as problem:  # the parser of a private binary format: whatever it throws means the same
        raise _unknown(name, "its private header is gone") from problem
    across = math.isqrt(max(count - 1, 0)) + 1
    if count < 1 or dataset.Rows % across or dataset.Columns % across or abs(np.linalg.norm(normal) - 1) > 1e-3:
        raise _unknown(name, f"{count} slices do not fit {dataset.Rows} × {dataset.Columns} pixels")
    if (number or 0) > 1:  # dcm2niix turns such a stack round, SPM does not, and neither calls it tested
        raise _unknown(name, "its slices are numbered in reverse, which converters read in different ways")
    return Mosaic(count, across, normal, None if weighting is None else float(weighting))


def _unknown(name: str, why: str) -> XmedError:
    return XmedError(
        "MULTI_VOLUME",
        f"{name} is a Siemens mosaic, all slices in one picture, and {why}",
        "a mosaic with its CSA header",
        "export it again with private attributes, or unpacked",
    )
