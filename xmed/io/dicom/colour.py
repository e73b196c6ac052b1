"""Decode pixels of three samples as red, green and blue.

Headers often keep a Photometric Interpretation that does not fit the stream any more. What the compressed stream states
has priority, then what the pixel values show, then the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGTransferSyntaxes

from xmed.errors import XmedError
from xmed.io.dicom.compressed_stream import ColourModel, StreamHeader, parse_stream_header
from xmed.io.dicom.header import Header
from xmed.io.notes import add_note

_DECODED_MODEL: dict[str, ColourModel] = {
    "RGB": "RGB",
    "YBR_ICT": "RGB",
    "YBR_RCT": "RGB",
    "YBR_FULL": "YBR",
    "YBR_FULL_422": "YBR",
}
"""Colour model after decoding, by Photometric Interpretation (PS3.3 C.7.6.3.1.2): codecs undo ICT and RCT."""
_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_GREY_TOLERANCE_RGB, _GREY_TOLERANCE_YBR = 4, 6
"""Grey in RGB has three equal samples, grey in YBR has two of 128. Lossy compression changes them by less than this."""
_MIN_GREY_SHARE = 0.5
"""Share of grey pixels above which pixel values show their colour model: most of an ultrasound image is grey."""


def check_photometric(header: Header, name: str) -> None:
    """Check that Photometric Interpretation fits the number of samples.

    Args:
        header: The header of an image.
        name: Name of the file, for messages.

    Raises:
        XmedError: PIXEL_MODULE.
    """
    samples, model = int(header["SamplesPerPixel"]), str(header["PhotometricInterpretation"])
    wrong = model in _GREY if samples == 3 else model in _DECODED_MODEL
    if samples not in (1, 3) or wrong or (samples == 3 and model not in _DECODED_MODEL):
        raise XmedError(
            "PIXEL_MODULE",
            f"{name} has {samples} samples per pixel, Photometric Interpretation {model}",
            f"one of {', '.join(_GREY)}; three of {', '.join(_DECODED_MODEL)}",
        )


def frame_streams(dataset: Dataset, name: str) -> list[StreamHeader | None]:
    """Read what the compressed stream of each frame states.

    Args:
        dataset: The image.
        name: Name of the file, for messages.

    Returns:
        For each frame what its stream states; an empty list for uncompressed pixels.

    Raises:
        XmedError: PIXEL_MODULE if size or number of frames differ from the header.
    """
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return []
    extended: Any = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        extended = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    count = int(dataset.get("NumberOfFrames") or 1)
    try:
        frames = generate_frames(dataset.PixelData, number_of_frames=count, extended_offsets=extended)
        streams = [parse_stream_header(frame) for frame in frames]
    except (ValueError, IndexError) as problem:
        raise XmedError(
            "PIXEL_MODULE", f"{name} says {count} frames, its compressed stream has another number", "the same number"
        ) from problem
    if len(streams) != count or (count == 1 and _holds_several_streams(dataset.PixelData)):
        raise XmedError(
            "PIXEL_MODULE", f"{name} says {count} frames, its compressed stream has another number", "the same number"
        )
    header_size = (int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel))
    for stream in streams:
        if stream and stream.rows and (stream.rows, stream.columns, stream.components) != header_size:
            raise XmedError(
                "PIXEL_MODULE",
                f"{name} says {header_size[0]} × {header_size[1]} pixels of {header_size[2]} samples, its stream has "
                f"{stream.rows} × {stream.columns} of {stream.components}",
                "the same size",
                "the header belongs to another size of the image: export it again",
            )
    return streams


def _holds_several_streams(pixels: bytes) -> bool:
    """Return whether the fragments of a single frame each begin a stream of their own."""
    return sum(parse_stream_header(fragment) is not None for fragment in generate_fragments(pixels)) > 1


def decode_rgb(dataset: Dataset, streams: Sequence[StreamHeader | None]) -> np.ndarray:
    """Decode the frames of a colour image.

    Args:
        dataset: The image.
        streams: The result of `frame_streams`.

    Returns:
        Array of shape (frames, rows, columns, 3) in red, green and blue. A header that states another model is noted.
    """
    header_model = _DECODED_MODEL[str(dataset.PhotometricInterpretation)]
    syntax = dataset.file_meta.TransferSyntaxUID
    # Pillow would convert colours by itself if it found a marker; the other decoders do not
    plugin = "pylibjpeg" if syntax in JPEGTransferSyntaxes else ""
    pixels = pixel_array(dataset, raw=True, decoding_plugin=plugin).reshape(-1, dataset.Rows, dataset.Columns, 3)
    models = [stream.model if stream else None for stream in streams] or [None] * len(pixels)
    unmarked = [n for n, model in enumerate(models) if model is None]
    model_from_pixels = _model_from_planes(pixels[unmarked]) if unmarked else None
    frame_models = np.array([model or model_from_pixels or header_model for model in models])
    if (frame_models != header_model).any():
        names = {"RGB": "red, green and blue", "YBR": "luminance and chrominance"}
        other = next(name for model, name in names.items() if model != header_model)
        add_note("COLOUR_MODEL", f"the header says {names[header_model]}, the pixels are {other}: read as they are")
    if (frame_models == "YBR").all():
        return convert_color_space(pixels, "YBR_FULL", "RGB")
    if (frame_models == "YBR").any():
        pixels = pixels.copy()
        pixels[frame_models == "YBR"] = convert_color_space(pixels[frame_models == "YBR"], "YBR_FULL", "RGB")
    return pixels


def _model_from_planes(planes: np.ndarray) -> ColourModel | None:
    """Return the colour model that grey pixels (…, 3) of 8 bits show, or None if it is not certain."""
    if planes.itemsize != 1:
        return None
    first, second, third = np.moveaxis(
        planes.reshape(-1, 3)[:: max(planes.size // 3_000_000, 1)].astype(np.int16), 1, 0
    )
    looks_rgb = (np.abs(first - second) <= _GREY_TOLERANCE_RGB) & (np.abs(first - third) <= _GREY_TOLERANCE_RGB)
    looks_ybr = (np.abs(second - 128) <= _GREY_TOLERANCE_YBR) & (np.abs(third - 128) <= _GREY_TOLERANCE_YBR)
    shares: dict[ColourModel, float] = {
        "RGB": float((looks_rgb & ~looks_ybr).mean()),
        "YBR": float((looks_ybr & ~looks_rgb).mean()),
    }
    likelier = max(shares, key=lambda model: shares[model])
    return likelier if shares[likelier] > _MIN_GREY_SHARE else None
