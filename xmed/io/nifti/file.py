"""Read and write NIfTI-1 and NIfTI-2 files. Their RAS+ coordinates become the LPS+ coordinates of a Volume."""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from pathlib import Path
from typing import IO, cast

import nibabel as nib
import numpy as np

from xmed.errors import XmedError
from xmed.io.file_kinds import (
    GZIP_MAGIC,
    GZIP_MAX_RATIO,
    MAX_BYTES,
    check_compression_ratio,
    reader_errors,
    replace_when_complete,
    require_file,
)
from xmed.io.nifti.orientation import RAS_TO_LPS, affine_from_header
from xmed.io.notes import add_note
from xmed.io.sandbox.limits import grow_limits
from xmed.volume import Grid, Volume

# nibabel logs its repairs for every file. Those that matter become notes here.
nib.imageglobals.logger.setLevel(logging.CRITICAL)

MAX_NON_FINITE = 1e-3
"""Largest share of NaN or infinite voxels that is filled; more of them count as damage."""
_RGB, _COMPLEX, _FLOAT128 = {128, 2304}, {32, 1792, 2048}, {1536}
_MEMORY_PER_VOXEL_BYTE = 16
"""Bytes of memory for each stored byte: a slope turns uint8 into float64, of which copies are made."""
_MAX_TRAILING_BYTES = 1 << 20
"""Bytes that a writer may leave after the voxels."""


def read_nifti(
    path: str | Path, modality: str | None = None, channel: int | None = None, image_grid: Grid | None = None
) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file (one file, plain or gzipped) as a Volume.

    Slope and intercept are applied. Up to 0.1 % NaN or infinite voxels get the lowest finite value and lie outside the
    field of view of an image.

    Args:
        path: The file.
        modality: DICOM modality. If it is given, the file is an image, and a constant array is refused. Otherwise the
            file may be a label map, which may be empty.
        channel: Which volume of a 4-D file, from 0. A fourth axis of length 1 is dropped.
        image_grid: For a label map, the grid of its image; used if the label map has no orientation.

    Returns:
        Array of shape (i, j, k), affine in LPS+ millimetres (see `affine_from_header`).

    Raises:
        XmedError: PATH_NOT_FOUND, PATH_UNSAFE, EMPTY_FILE, GZIP_TRUNCATED, SIZE_CLAIM, NIFTI_INVALID, NO_ORIENTATION,
            AFFINE_INVALID, SPACING_INVALID, NDIM, DTYPE, COMPLEX, RESCALE_INVALID, NON_FINITE, CONSTANT, READER_FAILED.
    """
    path = require_file(Path(path))
    with reader_errors(path.name):
        image = parse_nifti(path)
        array = _channel(np.asanyarray(image.dataobj), channel, path.name)
        array, whole = _fill_non_finite(array, path.name)
        fov = None if whole is None or modality is None else whole
        affine = affine_from_header(image.header, path.name, image_grid)
        volume = Volume(array.astype(_storable_dtype(array.dtype), copy=False), affine, modality=modality, fov=fov)
    if modality is not None and array.size and array.min() == array.max():
        raise XmedError("CONSTANT", f"every voxel of {path.name} is {array.flat[0]}", "an image with content")
    return volume


def write_nifti(volume: Volume, path: str | Path) -> None:
    """Write a Volume as NIfTI-1 in RAS+ millimetres, with sform and qform code 1 and no description.

    Equal volumes give equal bytes, because no time stamp is written. An existing file is replaced only when the new one
    is complete.

    Args:
        volume: The volume.
        path: The file; names that end in .gz are gzipped.
    """
    path = Path(path)
    array = volume.array.astype(_storable_dtype(volume.array.dtype), copy=False)
    affine = RAS_TO_LPS @ volume.affine
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    data = image.to_bytes()
    if path.name.endswith(".gz"):
        data = gzip.compress(data, compresslevel=1, mtime=0)  # level 6 takes three times as long for 1 % less
    with replace_when_complete(path) as part:
        part.write_bytes(data)


def parse_nifti(path: Path) -> nib.Nifti1Image:
    """Read a NIfTI file, but only as far as its size allows.

    Args:
        path: The file.

    Returns:
        The header and the voxels.
    """
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC  # by content, because names are often wrong
        file.seek(0)
        size = path.stat().st_size
        if packed != path.name.endswith(".gz"):
            add_note("GZIP_NAME", f"{'gzipped' if packed else 'plain'} by its content, in contrast to its name")
        if not packed:
            return _read_image_bytes(file, path.name, size, size)
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return _read_image_bytes(cast(IO[bytes], stream), path.name, size, size * GZIP_MAX_RATIO)
        except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
            raise XmedError(
                "GZIP_TRUNCATED", f"{path.name}: {problem}", "a whole gzip stream", "copy it again"
            ) from problem


def _read_image_bytes(file: IO[bytes], name: str, size: int, most: int) -> nib.Nifti1Image:
    """Return the image in an open file.

    size: bytes on disk. most: the largest number of bytes that they can expand to.
    """
    head = file.read(540)
    header = _parse_header(head, name)
    claim = _claimed_bytes(header, name)
    if claim > min(MAX_BYTES, most):
        raise XmedError("SIZE_CLAIM", f"{name} claims {claim} bytes", f"what its file can hold, {MAX_BYTES} at most")
    check_compression_ratio(claim, size, name)
    grow_limits(_MEMORY_PER_VOXEL_BYTE * claim)
    data = head + file.read(max(claim - len(head), 0))
    # Read to the end, because a gzip stream checks its checksum only there
    trailing = len(file.read(_MAX_TRAILING_BYTES + 1))
    if len(data) < claim:
        raise XmedError("SIZE_CLAIM", f"{name} claims {claim} bytes and holds {len(data)}", "every voxel it claims")
    if trailing > _MAX_TRAILING_BYTES:
        raise XmedError("NIFTI_INVALID", f"{name} continues after its voxels", "a header that names all of its data")
    _note_header_repairs(header, name)
    try:
        return (nib.Nifti2Image if header.sizeof_hdr == 540 else nib.Nifti1Image).from_bytes(data)
    except nib.spatialimages.HeaderDataError as problem:
        raise XmedError("NIFTI_INVALID", f"{name}: {problem}", "a header that nibabel accepts") from problem


def _parse_header(head: bytes, name: str) -> nib.Nifti1Header:
    second = 540 in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
    try:
        # Without extensions, which may be long.
        header = nib.Nifti2Header(head[:540], check=False) if second else nib.Nifti1Header(head[:348], check=False)
        magic = bytes(header["magic"])[:3]
    except Exception as problem:
        raise XmedError("NIFTI_INVALID", f"{name} has no NIfTI header", "a NIfTI-1 or NIfTI-2 file") from problem
    if magic != (b"n+2" if second else b"n+1"):
        raise XmedError("NIFTI_INVALID", f"{name} has magic {magic!r}", "header and voxels in one file (n+1, n+2)")
    return header


def _claimed_bytes(header: nib.Nifti1Header, name: str) -> int:
    """Return how many bytes the header says the file has; also check its shape and data type."""
    dim, code = [int(n) for n in header["dim"]], int(header["datatype"])
    shape = dim[1 : dim[0] + 1]
    if not 2 <= dim[0] <= 7 or min(shape, default=0) < 1:
        raise XmedError("NDIM", f"{name} has dimensions {dim}", "three axes of at least one voxel")
    if code in _COMPLEX:
        raise XmedError("COMPLEX", f"{name} holds complex voxels", "real voxels", "export the magnitude")
    if code in _RGB | _FLOAT128:
        raise XmedError("DTYPE", f"{name} holds voxels of datatype {code}", "integers or real numbers, no colours")
    if code not in nib.nifti1.data_type_codes.code or (voxel_bytes := header.get_data_dtype().itemsize) == 0:
        raise XmedError("NIFTI_INVALID", f"{name} has datatype {code}", "a datatype that NIfTI defines")
    offset = float(header["vox_offset"])
    if not offset >= header.sizeof_hdr or offset > MAX_BYTES:
        raise XmedError("NIFTI_INVALID", f"{name} has voxels at offset {offset}", f"at least {header.sizeof_hdr}")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if math.isinf(slope) or math.isinf(intercept) or (math.isnan(intercept) and slope and not math.isnan(slope)):
        raise XmedError("RESCALE_INVALID", f"{name} has slope {slope}, intercept {intercept}", "finite numbers")
    return int(offset) + math.prod(shape) * int(voxel_bytes)


def _note_header_repairs(header: nib.Nifti1Header, name: str) -> None:
    """Check what nibabel repairs silently when it reads a header: spacings of zero or less, and a missing slope."""
    spacing = header["pixdim"][1 : 1 + min(int(header["dim"][0]), 3)]
    if not (spacing > 0).all():
        if header["sform_code"] <= 0 and header["qform_code"] > 0:
            raise XmedError("SPACING_INVALID", f"{name} has pixdim {spacing.tolist()}", "three positive spacings")
        add_note("PIXDIM", f"pixdim {spacing.tolist()} was ignored: the spacing of the sform is used")
    slope = float(header["scl_slope"])
    if slope == 0 or math.isnan(slope):
        add_note("SLOPE", f"slope {slope:g} is not a scaling: values stay as stored")


def _channel(array: np.ndarray, channel: int | None, name: str) -> np.ndarray:
    """Return the three-dimensional volume that was chosen."""
    while array.ndim > 3 and array.shape[-1] == 1 and channel is None:
        array = array[..., 0]
        add_note("SQUEEZED", "a fourth axis of length 1 was dropped")
    if array.ndim == 5 and array.shape[3] == 1:  # NIfTI keeps axis 4 for time, vectors go to axis 5
        array = array[:, :, :, 0]
    if array.ndim == 4 and channel is not None and channel < array.shape[3]:
        array = array[..., channel]
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3:
        request = "" if channel is None else f", channel {channel} was requested"
        raise XmedError("NDIM", f"{name} has shape {array.shape}{request}", "three dimensions", "name a channel it has")
    return array


def _fill_non_finite(array: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Replace NaN and infinite voxels by the lowest finite value.

    Returns:
        The array, and a mask (bool) of its finite voxels, or None if all are finite.
    """
    if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
        return array, None
    share = 1.0 - finite.mean()
    if share > MAX_NON_FINITE:
        raise XmedError("NON_FINITE", f"{share:.1%} of {name} is NaN or infinite", f"at most {MAX_NON_FINITE:.1%}")
    add_note(
        "HOLES",
        f"{array.size - np.count_nonzero(finite)} NaN or infinite voxels became the lowest value and are masked",
    )
    return np.where(finite, array, array[finite].min()), finite


def _storable_dtype(dtype: np.dtype) -> np.dtype:
    """Return the data type to keep: native byte order, and one that NIfTI has."""
    return np.dtype({"b1": np.uint8, "f2": np.float32}.get(dtype.str[1:], dtype.newbyteorder("=")))
