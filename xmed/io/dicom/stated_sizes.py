"""Check the sizes that a header states: against the bytes of the file, and against each other.

The bytes are counted before memory is allocated.

An image that was resized or cropped often keeps attributes of its former size. The header does not tell which of two
statements is outdated. Positions and Pixel Spacing are used, as all viewers do, and the contradiction is noted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from xmed.errors import XmedError
from xmed.io.dicom.frames import FrameAttributes
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.planes import Plane
from xmed.io.dicom.prescan import UNDEFINED_LENGTH
from xmed.io.file_kinds import MAX_BYTES, check_compression_ratio
from xmed.io.notes import add_note

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
SPACING_APART, DIAMETER_APART, STEP_APART = 0.01, 0.02, 0.05
"""Relative differences that count as contradictions. Diameters are given in whole millimetres, slice distances
rounded.
"""


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


def compare_spacing(
    attributes: FrameAttributes, rows_mm: float, columns_mm: float, *, calibrated: bool = False
) -> None:
    """Note other statements about the pixel size that contradict the one that is used.

    Args:
        attributes: Attributes of the frame.
        rows_mm: Distance between rows that is used.
        columns_mm: Distance between columns that is used.
        calibrated: Whether it comes from ultrasound regions; Pixel Spacing is then a second statement.
    """
    keywords = ["PixelSpacing", "NominalScannedPixelSpacing"] if calibrated else []
    if not attributes.get("PixelSpacingCalibrationType"):  # it explains a difference (PS3.3 10.7.1.1)
        keywords.append("ImagerPixelSpacing")
    for keyword in keywords:
        stated = _numbers(attributes.get(keyword), 2)
        if stated and not all(math.isclose(a, b, rel_tol=SPACING_APART) for a, b in zip(stated, (rows_mm, columns_mm))):
            add_note("CALIBRATION", f"{keyword} differs from {rows_mm:.4g} × {columns_mm:.4g} mm, which is used")
    ratio = _numbers(attributes.get("PixelAspectRatio"), 2)
    if ratio and not math.isclose(ratio[0] / ratio[1], rows_mm / columns_mm, rel_tol=SPACING_APART):
        add_note("CALIBRATION", f"PixelAspectRatio differs from that of {rows_mm:.4g} × {columns_mm:.4g} mm")


def compare_stack(planes: Sequence[Plane], step: float) -> None:
    """Note other statements about the image size or slice distance that contradict the ones that are used.

    Reconstruction Diameter is the edge of the reconstructed square (PS3.3 C.8.2.1). Spacing Between Slices is measured
    from centre to centre (C.7.6.2.1.4), but some scanners write the gap, which is less than the slice thickness.

    Args:
        planes: Planes of the volume.
        step: Slice distance that is used, in mm.
    """
    first = planes[0]
    attributes = first.attributes
    compare_spacing(attributes, *first.spacing)
    edges = [n * mm for n, mm in zip(first.size, first.spacing)]
    diameter = _numbers(attributes.get("ReconstructionDiameter"), 1)
    if diameter and not any(math.isclose(diameter[0], edge, rel_tol=DIAMETER_APART) for edge in edges):
        add_note(
            "CALIBRATION",
            f"Reconstruction Diameter is {diameter[0]:.4g} mm, the picture {edges[0]:.4g} × {edges[1]:.4g} mm: "
            "cropped, or resized under its old Pixel Spacing",
        )
    centre_distance = _numbers(attributes.get("SpacingBetweenSlices"), 1)
    if len(planes) > 1 and centre_distance:
        thickness = _numbers(attributes.get("SliceThickness"), 1) or (0.0,)
        gap = (
            centre_distance[0] if centre_distance[0] < (1 - STEP_APART) * thickness[0] else math.nan
        )  # touching slices have no gap
        if not any(math.isclose(mm, step, rel_tol=STEP_APART) for mm in (centre_distance[0], gap + thickness[0])):
            add_note(
                "SLICE_STEP", f"slices are {step:.4g} mm apart, SpacingBetweenSlices says {centre_distance[0]:.4g} mm"
            )


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return `count` positive numbers, without sign, or None if they are invalid."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    try:
        numbers = tuple(abs(float(number)) for number in (value if several else [value]))
    except (TypeError, ValueError):
        return None
    return (
        numbers if len(numbers) == count and all(math.isfinite(number) and number > 0 for number in numbers) else None
    )
