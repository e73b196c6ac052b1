"""Stated sizes: sizes that a header states twice, held against each other; what disagrees goes on record.

A picture that was resized or cropped often keeps what belonged to its former size. Which of two statements is left over
cannot be told from the header: positions and Pixel Spacing are taken, as every viewer takes them, and it is noted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from xmed.io.dicom.planes import Plane
from xmed.io.notes import add_note

SPACING_APART, DIAMETER_APART, STEP_APART = 0.01, 0.02, 0.05
"""Shares from which two statements differ. Diameters are given in whole millimetres, slice distances with rounding."""


def compare_spacing(
    attributes: Mapping[str, Any], rows_mm: float, columns_mm: float, *, calibrated: bool = False
) -> None:
    """Note what else a header says of the size of its pixels, where that is another than what was taken.

    calibrated: taken from ultrasound regions, so that Pixel Spacing is a second statement.
    """
    keywords = ["PixelSpacing", "NominalScannedPixelSpacing"] if calibrated else []
    if not attributes.get("PixelSpacingCalibrationType"):  # which says why the two differ (PS3.3 10.7.1.1)
        keywords.append("ImagerPixelSpacing")
    for keyword in keywords:
        stated = _numbers(attributes.get(keyword), 2)
        if stated and not all(math.isclose(a, b, rel_tol=SPACING_APART) for a, b in zip(stated, (rows_mm, columns_mm))):
            add_note("CALIBRATION", f"{keyword} is another than {rows_mm:.4g} × {columns_mm:.4g} mm, which was taken")
    ratio = _numbers(attributes.get("PixelAspectRatio"), 2)
    if ratio and not math.isclose(ratio[0] / ratio[1], rows_mm / columns_mm, rel_tol=SPACING_APART):
        add_note("CALIBRATION", f"PixelAspectRatio is another than that of {rows_mm:.4g} × {columns_mm:.4g} mm")


def compare_stack(planes: Sequence[Plane], step: float) -> None:
    """Note where the size of the picture, or the distance of its slices (step, in mm), is stated otherwise as well.

    Reconstruction Diameter is the edge of the reconstructed square (PS3.3 C.8.2.1); Spacing Between Slices is measured
    from centre to centre (C.7.6.2.1.4), though some scanners write the gap,
    which is less than a slice.
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
    between = _numbers(attributes.get("SpacingBetweenSlices"), 1)
    if len(planes) > 1 and between:
        thickness = _numbers(attributes.get("SliceThickness"), 1) or (0.0,)
        gap = between[0] if between[0] < (1 - STEP_APART) * thickness[0] else math.nan  # touching slices have none
        if not any(math.isclose(mm, step, rel_tol=STEP_APART) for mm in (between[0], gap + thickness[0])):
            add_note("SLICE_STEP", f"slices are {step:.4g} mm apart, SpacingBetweenSlices says {between[0]:.4g} mm")


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """The sizes of that many numbers, None where they are no numbers or one is zero."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    try:
        numbers = tuple(abs(float(number)) for number in (value if several else [value]))
    except (TypeError, ValueError):
        return None
    return (
        numbers if len(numbers) == count and all(math.isfinite(number) and number > 0 for number in numbers) else None
    )
