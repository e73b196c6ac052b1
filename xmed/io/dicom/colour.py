"""Decode pixels of three samples as red, green and blue.

Headers often keep a Photometric Interpretation that does not fit the stream any more. What the compressed stream states
has priority, then what the pixel values show, then the header.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGTransferSyntaxes

from xmed.errors import XmedError
from xmed.io.dicom.header import Header
from xmed.io.notes import add_note

ColourModel = Literal["RGB", "YBR"]
_JPEG, _J2K, _JP2 = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers, including JPEG-LS, without tables
_DCT = {0xC0, 0xC1, 0xC2}
_ADOBE = {0: "RGB", 1: "YBR"}  # the transform of APP14 (Adobe Technical Note 5116)
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


@dataclass(frozen=True)
class StreamHeader:
    """What the start of a compressed frame states.

    Attributes:
        kind: Start-of-frame marker of JPEG, or None for JPEG 2000.
        rows: Height in pixels.
        columns: Width in pixels.
        components: Samples per pixel.
        bits: Bits per sample.
        model: Colour model of three components after decoding, or None if no marker states it.
    """

    kind: int | None
    rows: int
    columns: int
    components: int
    bits: int
    model: ColourModel | None


def parse_stream_header(frame: bytes) -> StreamHeader | None:
    """Parse the start of a frame; None if it is damaged or neither JPEG, JPEG-LS nor JPEG 2000."""
    try:
        if frame[:2] == _JPEG:
            return _jpeg(frame)
        at = frame.find(_J2K, 0, 4096) if frame[:8] == _JP2 else 0
        return _jpeg_2000(frame[at:]) if frame[max(at, 0) :][:4] == _J2K else None
    except IndexError:
        return None


def _segments(frame: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield markers and the content of their segments, up to the first scan or tile."""
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker in (0xDA, 0x90) or length < 2:
            return
        yield marker, frame[at + 4 : at + 2 + length]
        at += 2 + length


def _jpeg(frame: bytes) -> StreamHeader | None:
    """Parse JPEG or JPEG-LS up to its start-of-frame segment."""
    jfif, adobe = False, None
    for marker, content in _segments(frame, 2):
        if marker == 0xE0 and content[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and content[:5] == b"Adobe" and len(content) >= 12:
            adobe = _ADOBE.get(content[11])
        elif marker in _FRAMES:
            rows, columns = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            components = [content[6 + 3 * n : 9 + 3 * n] for n in range(content[5])]
            return StreamHeader(
                marker, rows, columns, len(components), content[0], _model(marker, jfif, adobe, components)
            )
    return None


def _model(marker: int, jfif: bool, adobe: str | None, components: list[bytes]) -> ColourModel | None:
    """Return the colour model. JFIF allows only YCbCr (T.871); component numbers alone are not reliable."""
    if len(components) != 3:
        return None
    if jfif and marker in _DCT and adobe != "RGB":
        return "YBR"
    if adobe is not None and not jfif:
        return "RGB" if adobe == "RGB" else "YBR"
    if bytes(component[0] for component in components) == b"RGB":
        return "RGB"
    sampled = {component[1] for component in components}
    return "YBR" if marker in _DCT and len(sampled) > 1 else None


def _jpeg_2000(frame: bytes) -> StreamHeader | None:
    """Parse JPEG 2000; with its own colour transform (T.800 annex G) the codec returns red, green and blue."""
    segments = dict(_segments(frame, 2))
    size, style = segments.get(0x51), segments.get(0x52)
    if size is None or style is None:
        return None
    columns, rows, left, top = (int.from_bytes(size[at : at + 4], "big") for at in (2, 6, 10, 14))
    components = int.from_bytes(size[34:36], "big")
    return StreamHeader(
        None, rows - top, columns - left, components, (size[36] & 0x7F) + 1, "RGB" if style[4] else None
    )


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
