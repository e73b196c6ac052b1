"""Compare sizes that a header states twice, and note contradictions.

An image that was resized or cropped often keeps attributes of its former size. The header does not tell which of two
statements is outdated. Positions and Pixel Spacing are used, as all viewers do, and the contradiction is noted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from xmed.io.dicom.frames import FrameAttributes
from xmed.io.dicom.planes import Plane
from xmed.io.notes import add_note

SPACING_APART, DIAMETER_APART, STEP_APART = 0.01, 0.02, 0.05
"""Relative differences that count as contradictions. Diameters are given in whole millimetres, slice distances
rounded.
"""


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
