"""Colour: stored pixels of three samples as red, green and blue, by what the stream is and not what a header calls it.

Files keep the Photometric Interpretation of a stream that they no longer have, and encoders write one that theirs is
not. What the stream says of itself stands first, then what its planes show, then the header.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import convert_color_space, pixel_array

from xmed.errors import XmedError
from xmed.io.header import Header
from xmed.io.notes import note
from xmed.io.stream import Model, Stream, stream_of

_NAMED: dict[str, Model] = {"RGB": "RGB", "YBR_ICT": "RGB", "YBR_RCT": "RGB", "YBR_FULL": "YBR", "YBR_FULL_422": "YBR"}
"""What pixels are after decoding, by Photometric Interpretation (PS3.3 C.7.6.3.1.2): codecs undo ICT and RCT."""
_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_ALIKE, _NEUTRAL = 4, 6
"""Grey in RGB has three like planes; grey in YBR has two of 128. What lossy coding adds stays within these values."""
_SHOWN = 0.5
"""Share of grey pixels from which planes tell their model: more than half of every ultrasound screen is grey or black."""


def refuse_model(header: Header, name: str) -> None:
    """Raises XmedError PIXEL_MODULE for a Photometric Interpretation that contradicts the number of samples."""
    samples, model = int(header["SamplesPerPixel"]), str(header["PhotometricInterpretation"])
    wrong = model in _GREY if samples == 3 else model in _NAMED
    if samples not in (1, 3) or wrong or (samples == 3 and model not in _NAMED):
        raise XmedError(
            "PIXEL_MODULE",
            f"{name} has {samples} samples per pixel, Photometric Interpretation {model}",
            f"one of {', '.join(_GREY)}; three of {', '.join(_NAMED)}",
        )


def streams_of(dataset: Dataset) -> Iterator[tuple[bytes, Stream | None]]:
    """The frames of encapsulated pixels, and what each says of itself."""
    extended: Any = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        extended = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    count = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(dataset.PixelData, number_of_frames=count, extended_offsets=extended):
        yield frame, stream_of(frame)


def rgb_of(dataset: Dataset) -> np.ndarray:
    """Frames (frames, rows, columns, 3) in red, green and blue; a header that calls them something else is noted."""
    shape = (-1, int(dataset.Rows), int(dataset.Columns), 3)
    said = _NAMED[str(dataset.PhotometricInterpretation)]
    streams = list(streams_of(dataset)) if dataset.file_meta.TransferSyntaxUID.is_encapsulated else []
    if streams and all(stream is not None and stream.dct for _, stream in streams):
        frames = np.stack([_baseline(frame, stream, said) for frame, stream in streams])
        return frames.reshape(shape)
    pixels = pixel_array(dataset, raw=True).reshape(shape)
    marks = [stream.model if stream else None for _, stream in streams] or [None]
    model = (marks[0] if len(set(marks)) == 1 else None) or _told(pixels) or said
    _disagree(model, said)
    return pixels if model == "RGB" else convert_color_space(pixels, "YBR_FULL", "RGB")


def _baseline(frame: bytes, stream: Stream | None, said: Model) -> np.ndarray:
    """A frame (rows, columns, 3) of DCT-coded JPEG. libjpeg takes what has no mark for YCbCr: there the planes tell."""
    marked = stream.model if stream else None
    with Image.open(BytesIO(frame), formats=("JPEG",)) as picture:
        if marked != "RGB":
            picture.draft("YCbCr", picture.size)  # the planes as they are, not converted
        planes = np.asarray(picture)
    model = marked or _told(planes) or said
    _disagree(model, said)
    return planes if model == "RGB" else convert_color_space(planes, "YBR_FULL", "RGB")


def _told(planes: np.ndarray) -> Model | None:
    """What planes (…, 3) of 8 bits show by their grey pixels; None where that is not certain."""
    if planes.itemsize != 1:
        return None
    first, second, third = np.moveaxis(planes.reshape(-1, 3)[:: max(planes.size // 3_000_000, 1)].astype(np.int16), 1, 0)
    alike = (np.abs(first - second) <= _ALIKE) & (np.abs(first - third) <= _ALIKE)
    neutral = (np.abs(second - 128) <= _NEUTRAL) & (np.abs(third - 128) <= _NEUTRAL)
    shares: dict[Model, float] = {"RGB": float((alike & ~neutral).mean()), "YBR": float((neutral & ~alike).mean())}
    likelier = max(shares, key=lambda model: shares[model])
    return likelier if shares[likelier] > _SHOWN else None


def _disagree(model: Model, said: Model) -> None:
    if model != said:
        names = {"RGB": "red, green and blue", "YBR": "luminance and chrominance"}
        note("COLOUR_MODEL", f"the header says {names[said]}, the pixels are {names[model]}: read as they are")
