"""Read a PNG or JPEG file as a Volume of one slice, without spacing or position."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from xmed.errors import XmedError
from xmed.io.dicom.pixels import LUMA
from xmed.io.file_kinds import reader_errors, require_file
from xmed.io.notes import add_note
from xmed.io.sandbox.limits import grow_limits
from xmed.volume import Volume

MAX_PIXELS = 1 << 28
_GREY = {"1", "L", "I", "I;16", "I;16B", "F"}
_COLOUR = {"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"}
_ALPHA = {"LA", "PA", "RGBA", "La", "RGBa"}


def read_picture(path: str | Path, modality: str | None = None) -> Volume:
    """Read a picture in grey values.

    Colours become ITU-R BT.601 luminance; CMYK and other colour models are first converted to RGB by PIL. The EXIF
    orientation is applied. Colour profiles and gamma are not applied.

    Args:
        path: PNG or JPEG file.
        modality: DICOM modality of the result.

    Returns:
        Array of shape (columns, rows, 1). The spacing is 1 mm because a picture states none.

    Raises:
        XmedError: PICTURE_INVALID, SIZE_CLAIM, NDIM, DTYPE, CONSTANT, PATH_NOT_FOUND, EMPTY_FILE.
    """
    path = require_file(Path(path))
    picture = _open_upright(path)
    if _has_transparency(picture):
        add_note("TRANSPARENT", "a picture has transparent parts: read as its colours are stored")
    if picture.mode == "LA":
        picture = picture.getchannel(0)
    if picture.mode in _GREY:
        pixels = np.asarray(picture)
    elif picture.mode in _COLOUR:
        colours = np.asarray(picture.convert("RGB"))
        same = (colours == colours[..., :1]).all()
        pixels = colours[..., 0] if same else (colours @ np.array(LUMA)).astype(np.float32)
    else:
        raise XmedError("DTYPE", f"{path.name} holds pixels of mode {picture.mode}", "grey, RGB, CMYK or a palette")
    if pixels.min() == pixels.max():
        raise XmedError("CONSTANT", f"every pixel of {path.name} is {pixels.flat[0]}", "a picture with content")
    return _as_volume(pixels, modality)


def read_label_picture(path: str | Path) -> Volume:
    """Read a picture whose grey values or palette indices are label values.

    Returns:
        Values as stored, shape (columns, rows, 1), upright.

    Raises:
        XmedError: DTYPE for colours, for JPEG (which changes values) and for labels in transparent pixels; otherwise as
            `read_picture`.
    """
    path = require_file(Path(path))
    picture = _open_upright(path)
    if picture.format != "PNG":
        raise XmedError("DTYPE", f"{path.name} is a JPEG, which changes values at edges", "a PNG", "export it as PNG")
    pixels = np.asarray(picture)
    if pixels.ndim == 3:
        planes = pixels[..., :-1] if picture.mode in _ALPHA else pixels
        if not (planes == planes[..., :1]).all():
            raise XmedError("DTYPE", f"{path.name} is a colour picture", "grey values or a palette that name labels")
        if picture.mode in _ALPHA and (planes[..., 0][pixels[..., -1] < 255] != 0).any():
            raise XmedError("DTYPE", f"{path.name} has labels in transparent parts", "labels in grey values alone")
        pixels = planes[..., 0]
    return _as_volume(pixels, None)


def _open_upright(path: Path) -> Image.Image:
    """Load the picture and apply its EXIF orientation."""
    with reader_errors(path.name):
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise XmedError("SIZE_CLAIM", f"{path.name} claims {picture.size} pixels", f"at most {MAX_PIXELS}")
                grow_limits(32 * picture.width * picture.height)
                _check_single_picture(picture, path)
                picture.load()
                upright = ImageOps.exif_transpose(picture)
                upright.format = "PNG" if picture.format == "PNG" else "JPEG"
                if picture.getexif().get(0x0112, 1) in range(2, 9):
                    add_note("ORIENTATION", "a picture was turned upright, as its EXIF orientation says")
                return upright
        except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as problem:
            raise XmedError("PICTURE_INVALID", f"{path.name} does not decode", "a whole PNG or JPEG") from problem


def _check_single_picture(picture: Image.Image, path: Path) -> None:
    """Refuse films, and samples that PIL would silently cut to 8 bits.

    In a Multi-Picture JPEG the first picture is the photograph and the others are derived from it (CIPA DC-007).
    """
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format == "PNG":
        raise XmedError("NDIM", f"{path.name} holds {frames} pictures", "one", "save the intended one")
    if frames > 1:
        add_note("SEVERAL_PICTURES", f"the first of {frames} pictures in a JPEG was taken, the others are previews")
    with path.open("rb") as file:
        head = file.read(26)  # signature, length and name of IHDR, width, height, bit depth, colour type
    if picture.format == "PNG" and head[24] == 16 and head[25] in (2, 4, 6):
        raise XmedError(
            "DTYPE", f"{path.name} has 16 bits of colour or transparency", "16 bits of grey, or 8 of colour"
        )


def _has_transparency(picture: Image.Image) -> bool:
    return picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] != 255


def _as_volume(pixels: np.ndarray, modality: str | None) -> Volume:
    array = pixels.T[..., np.newaxis]
    return Volume(array.astype(np.uint8) if array.dtype == bool else array, np.eye(4), modality=modality)
