"""Check that the image size stated in a header agrees with the bytes of the file, before memory is allocated."""

from __future__ import annotations

from weakref import WeakSet

from xmed.errors import XmedError
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.prescan import UNDEFINED_LENGTH
from xmed.io.file_kinds import MAX_BYTES, check_compression_ratio

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


_passed_instances: WeakSet[Instance] = WeakSet()
"""Instances that passed: each is checked before the first allocation of a series and again before its own."""


def check_pixel_size(instance: Instance) -> None:
    """Check that the header agrees with the stored pixels.

    Args:
        instance: The image.

    Raises:
        XmedError: PIXEL_MODULE, SIZE_CLAIM, DICOM_TRUNCATED, TSUID_MISMATCH.
    """
    if instance in _passed_instances:
        return
    header, name = instance.header, instance.name
    stated = {keyword: header.get(keyword) for keyword in _REQUIRED}
    missing = [keyword for keyword, value in stated.items() if value in (None, "")]
    if missing:
        raise XmedError("PIXEL_MODULE", f"{name} lacks {', '.join(missing)}", "a complete Image Pixel module")
    try:
        rows, columns, samples, bits = (
            int(stated[keyword]) for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
        )
        frames = int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError) as problem:
        raise XmedError("PIXEL_MODULE", f"{name} does not state its size in integers", "integers") from problem
    if min(rows, columns, samples, frames) < 1 or bits not in (1, 8, 16, 32) or not 1 <= stated["BitsStored"] <= bits:
        raise XmedError(
            "PIXEL_MODULE",
            f"{name}: {frames} frames of {rows} × {columns} × {samples}, {stated['BitsStored']} of {bits} bits",
            "at least one pixel, of 1, 8, 16 or 32 bits",
        )
    if stated["HighBit"] != stated["BitsStored"] - 1:  # required by PS3.5 8.1.1 since 2014, and by pydicom
        raise XmedError("PIXEL_MODULE", f"{name} has High Bit {stated['HighBit']}", f"{stated['BitsStored'] - 1}")
    if stated["PhotometricInterpretation"] == "YBR_FULL_422":
        samples = 2  # two pixels share their chrominance samples
    expected = (frames * rows * columns * samples * bits + 7) // 8
    if expected > MAX_BYTES:
        raise XmedError("SIZE_CLAIM", f"{name} claims {expected} bytes of pixels", f"at most {MAX_BYTES}")
    syntax = header.syntax
    undefined = instance.pixel_length == UNDEFINED_LENGTH
    if syntax.is_transfer_syntax and syntax.is_encapsulated != undefined:
        stored = "encapsulated" if undefined else "native"
        raise XmedError(
            "TSUID_MISMATCH", f"{name} states {syntax.name}, its pixels are {stored}", "the syntax it names"
        )
    if undefined:
        check_compression_ratio(expected, len(header.pixels), name)
    else:
        _check_native(instance, expected, columns * max(bits // 8, 1))
    _passed_instances.add(instance)


def _check_native(instance: Instance, expected: int, one_row: int) -> None:
    """Check the length of uncompressed pixels; scanners may add up to one row."""
    declared, stored, name = instance.pixel_length or 0, len(instance.header.pixels), instance.name
    if declared < expected or (declared > stored and declared > expected + one_row):
        raise XmedError(
            "SIZE_CLAIM", f"{name} claims {max(expected, declared)} bytes of pixels", f"the {stored} it holds"
        )
    if stored < expected:
        raise XmedError(
            "DICOM_TRUNCATED", f"{name} holds {stored} of {expected} bytes of pixels", "all of them", "fetch it again"
        )
    if stored > expected + one_row:
        raise XmedError(
            "PIXEL_MODULE", f"{name} holds {stored} bytes of pixels", f"the {expected} its header describes"
        )
