"""Pixels: stored values become modality values (PS3.3 C.7.6.3, C.11.1); no header is believed before it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array
from pydicom.uid import UID

from xmed.errors import XmedError
from xmed.io.files import MAX_BYTES
from xmed.io.instance import UNDEFINED_LENGTH, Instance
from xmed.io.planes import frame_attributes

LUMA = (0.299, 0.587, 0.114)
"""Grey from red, green and blue: ITU-R BT.601, the weights of YBR_FULL (PS3.3 C.7.6.3.1.2)."""
_REQUIRED = [
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PhotometricInterpretation",
]


def modality_values(instance: Instance) -> np.ndarray:
    """The frames of an image as float32 (frames, rows, columns): rescaled, upright in grey, padding as NaN.

    Rescale slope and intercept or the modality LUT are applied frame by frame. MONOCHROME1 is inverted within its
    stored range, once, before that. Colour passes only in ultrasound, where scanners store grey as colour.

    Raises XmedError PIXEL_MODULE, SIZE_CLAIM, DICOM_TRUNCATED, TSUID_MISMATCH, RESCALE_INVALID, DTYPE.
    """
    check_claim(instance)
    dataset = instance.dataset
    stored = _stored(instance)
    padding = _padding(dataset, stored)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        span = (1 << int(dataset.BitsStored)) - 1
        stored = span - stored if not dataset.PixelRepresentation else -1 - stored  # lowest + highest - stored
    if "ModalityLUTSequence" in dataset:
        values = np.asarray(apply_modality_lut(stored.astype(np.int64), dataset), dtype=np.float32)
    else:
        frames = zip(stored, frame_attributes(dataset))
        values = np.stack([_rescaled(frame, attributes, instance.name) for frame, attributes in frames])
    values[padding] = np.nan
    return values


def filled(values: np.ndarray) -> np.ndarray:
    """`values` with the lowest real one in place of padding. Raises XmedError CONSTANT where all of it is padding."""
    padding = np.isnan(values)
    if padding.all():
        raise XmedError("CONSTANT", "every pixel is padding", "an image with content")
    return np.where(padding, values[~padding].min(), values) if padding.any() else values


def check_claim(instance: Instance) -> None:
    """Whether the header agrees with the bytes there are, before anything is allocated.

    Raises XmedError PIXEL_MODULE, SIZE_CLAIM, DICOM_TRUNCATED, TSUID_MISMATCH.
    """
    dataset, name = instance.dataset, instance.name
    missing = [keyword for keyword in _REQUIRED if dataset.get(keyword) in (None, "")]
    if missing:
        raise XmedError("PIXEL_MODULE", f"{name} lacks {', '.join(missing)}", "a complete Image Pixel module")
    rows, columns, samples, bits = (
        int(dataset.get(keyword)) for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if min(rows, columns, samples, frames) < 1 or bits not in (1, 8, 16, 32) or not 1 <= dataset.BitsStored <= bits:
        raise XmedError(
            "PIXEL_MODULE",
            f"{name}: {frames} frames of {rows} × {columns} × {samples}, {dataset.BitsStored} of {bits} bits",
            "at least one pixel, of 1, 8, 16 or 32 bits",
        )
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        samples = 2  # two pixels share their chrominance
    expected = (frames * rows * columns * samples * bits + 7) // 8
    if expected > MAX_BYTES:
        raise XmedError("SIZE_CLAIM", f"{name} claims {expected} bytes of pixels", f"at most {MAX_BYTES}")
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    undefined = instance.pixel_length == UNDEFINED_LENGTH
    if syntax.is_transfer_syntax and syntax.is_encapsulated != undefined:
        stored = "encapsulated" if undefined else "native"
        raise XmedError("TSUID_MISMATCH", f"{name} names {syntax.name}, its pixels are {stored}", "the syntax it names")
    if not undefined:
        _check_native(instance, expected, columns * max(bits // 8, 1))


def _check_native(instance: Instance, expected: int, one_row: int) -> None:
    declared, held, name = instance.pixel_length or 0, len(instance.dataset.PixelData or b""), instance.name
    if declared < expected or (declared > held and declared > expected + one_row):
        raise XmedError(
            "SIZE_CLAIM", f"{name} claims {max(expected, declared)} bytes of pixels", f"the {held} it holds"
        )
    if held < expected:
        raise XmedError(
            "DICOM_TRUNCATED", f"{name} holds {held} of {expected} bytes of pixels", "all", "fetch it again"
        )
    if held > expected + one_row:
        raise XmedError("PIXEL_MODULE", f"{name} holds {held} bytes of pixels", f"the {expected} its header describes")


def _stored(instance: Instance) -> np.ndarray:
    """Stored values (frames, rows, columns); colour as luminance, for ultrasound alone."""
    dataset = instance.dataset
    colour = dataset.PhotometricInterpretation == "PALETTE COLOR" or int(dataset.SamplesPerPixel) > 1
    if colour and dataset.get("Modality") != "US":
        raise XmedError("DTYPE", f"{instance.name} is a colour picture", "grey values", "export the original series")
    try:
        pixels = pixel_array(dataset)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
    except MemoryError:
        raise
    except Exception as problem:
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", ""))).name or "none"
        raise XmedError(
            "TSUID_MISMATCH", f"{instance.name} does not decode as {syntax}", "pixels in the syntax it names"
        ) from problem
    shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
    if colour:
        pixels = pixels.reshape(*shape, -1)[..., :3] @ np.array(LUMA)
    if pixels.size != np.prod(shape):
        raise XmedError("PIXEL_MODULE", f"{instance.name} decodes to {pixels.shape}", f"frames, rows, columns {shape}")
    return pixels.reshape(shape)


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Where pixels are padding (PS3.3 C.7.5.1.1.2): a value, or all between it and the range limit."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(stored.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted(_signed(end, dataset) for end in (value, limit if isinstance(limit, int) else value))
    return (stored >= ends[0]) & (stored <= ends[1])


def _signed(value: int, dataset: Dataset) -> int:
    """A padding value as the pixels mean it: scanners write it unsigned beside signed pixels."""
    bits = int(dataset.BitsAllocated)
    return value - (1 << bits) if dataset.PixelRepresentation and value >= 1 << (bits - 1) else value


def _rescaled(frame: np.ndarray, attributes: Mapping[str, Any], name: str) -> np.ndarray:
    try:
        slope, intercept = (float(attributes.get(f"Rescale{key}", d)) for key, d in (("Slope", 1), ("Intercept", 0)))
    except (TypeError, ValueError):
        slope = intercept = float("nan")
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise XmedError("RESCALE_INVALID", f"{name} has rescale slope {slope}, intercept {intercept}", "a finite line")
    return (frame * slope + intercept).astype(np.float32)
