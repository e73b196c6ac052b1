"""Read the markers at the start of a compressed frame (ITU-T T.81 JPEG, T.87 JPEG-LS, T.800 JPEG 2000)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ColourModel = Literal["RGB", "YBR"]
_JPEG, _J2K, _JP2 = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers, including JPEG-LS, without tables
_DCT = {0xC0, 0xC1, 0xC2}
_ADOBE = {0: "RGB", 1: "YBR"}  # the transform of APP14 (Adobe Technical Note 5116)


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
