"""Picture: a PNG or JPEG as a Volume of one slice, without a scale or a place of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from xmed.errors import XmedError
from xmed.io.files import reading, regular
from xmed.io.limits import afford
from xmed.io.pixels import LUMA
from xmed.volume import Volume

MAX_PIXELS = 1 << 28


def read_picture(path: str | Path, modality: str | None = None) -> Volume:
    """A picture in grey (colours as BT.601 luminance): i columns, j rows, one slice; voxels of 1 mm, having no scale.

    Raises XmedError PICTURE_INVALID, SIZE_CLAIM, CONSTANT and those of a missing or empty file.
    """
    pixels = _open(path, palette=False)
    if pixels.ndim == 3:
        colours = pixels[..., :3]
        same = (colours == colours[..., :1]).all()
        pixels = colours[..., 0] if same or pixels.shape[-1] < 3 else (colours @ np.array(LUMA)).astype(np.float32)
    if pixels.min() == pixels.max():
        raise XmedError("CONSTANT", f"every pixel of {Path(path).name} is {pixels.flat[0]}", "a picture with content")
    return _volume(pixels, modality)


def read_label_picture(path: str | Path) -> Volume:
    """A picture whose values name structures: grey values or palette indices, kept as they are.

    Raises XmedError DTYPE for colours, which name nothing, and as `read_picture` does.
    """
    pixels = _open(path, palette=True)
    if pixels.ndim == 3 and not (pixels[..., :3] == pixels[..., :1]).all():
        raise XmedError("DTYPE", f"{Path(path).name} is a colour picture", "grey values or a palette that name labels")
    return _volume(pixels if pixels.ndim == 2 else pixels[..., 0], None)


def _open(path: str | Path, *, palette: bool) -> np.ndarray:
    path = regular(Path(path))
    with reading(path.name):
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise XmedError("SIZE_CLAIM", f"{path.name} claims {picture.size} pixels", f"at most {MAX_PIXELS}")
                afford(32 * picture.width * picture.height)
                grey = "P" if palette else "RGB"
                kept = picture.convert(grey) if picture.mode == "P" else picture
                return np.asarray(kept)
        except (OSError, SyntaxError, Image.DecompressionBombError) as problem:
            raise XmedError("PICTURE_INVALID", f"{path.name} does not decode", "a whole PNG or JPEG") from problem


def _volume(pixels: np.ndarray, modality: str | None) -> Volume:
    array = pixels.T[..., np.newaxis]
    return Volume(array.astype(np.uint8) if array.dtype == bool else array, np.eye(4), modality=modality)
