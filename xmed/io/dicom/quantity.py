"""Ensure that the values of a volume are of one quantity in one unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmed.errors import XmedError
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.planes import Plane
from xmed.io.dicom.private_elements import PHILIPS_MR_SLOPE, private_number
from xmed.io.dicom.scaling import Scaling, read_scaling
from xmed.io.dicom.suv import suv_scale
from xmed.io.notes import add_note

_HOUNSFIELD = {"", "HU", "US"}
"""Rescale Types of CT (PS3.3 C.11.1.1.2) that mean Hounsfield units, or are unspecified."""


def slice_factors(instances: Sequence[Instance], planes: Sequence[Plane]) -> np.ndarray | None:
    """Return the factor by which the modality values of each plane must be multiplied.

    PET becomes SUV by body weight; Philips MR becomes comparable between slices.

    Args:
        instances: All images of the series.
        planes: The planes of the volume.

    Returns:
        float32 of shape (planes,), or None if values stay as they are.

    Raises:
        XmedError: SUV_INVALID; RESCALE_INVALID for slices of different quantities.
    """
    used = {plane.instance_index for plane in planes}
    scalings = {owner: read_scaling(instances[owner]) for owner in used}
    relations = {scalings[plane.instance_index].map_relation(_frame_of(plane, scalings)) for plane in planes}
    if len(relations) > 1:
        raise XmedError("RESCALE_INVALID", "slices whose real-world maps differ in their relation to the rescale",
                        "one quantity in all slices", "export one quantity")  # fmt: skip
    if instances[0].modality == "CT":
        _check_ct_unit(planes)
    if instances[0].modality == "MR":
        return _philips_factors(instances, planes, {owner: scaling.lines[0][0] for owner, scaling in scalings.items()})
    scale = suv_scale([instance.header for instance in instances])
    return None if scale is None else np.full(len(planes), scale, dtype=np.float32)


def _frame_of(plane: Plane, scalings: dict[int, Scaling]) -> int:
    """Return the frame of a plane; the tiles of a mosaic all belong to the first frame."""
    return plane.frame_index if plane.frame_index < len(scalings[plane.instance_index].lines) else 0


def _check_ct_unit(planes: Sequence[Plane]) -> None:
    units = {str(plane.attributes.get("RescaleType") or "").strip() for plane in planes}
    units = {"" if unit in _HOUNSFIELD else unit for unit in units}
    if len(units) > 1:
        unit_names = ", ".join(sorted(unit or "Hounsfield units" for unit in units))
        raise XmedError(
            "RESCALE_INVALID", f"CT slices in {unit_names}", "one unit in all slices", "export one quantity"
        )
    if unit := units.pop():
        add_note("CT_UNITS", f"CT values in {unit}, not in Hounsfield units, are kept as they are")


def _philips_factors(
    instances: Sequence[Instance], planes: Sequence[Plane], slopes: dict[int, float]
) -> np.ndarray | None:
    """Return 1 / (RS · SS) if it differs between slices, so that their display values are not comparable.

    MR values have no unit: if the factor is equal everywhere, display values are kept.
    """
    if "PHILIPS" not in instances[0].header.text("Manufacturer").upper():
        return None
    scales = {owner: private_number(instances[owner].dataset, PHILIPS_MR_SLOPE) for owner in slopes}
    if 0.0 in scales.values():  # absent in enhanced objects, or removed by another system
        return None
    factors = np.array(
        [1 / (slopes[plane.instance_index] * scales[plane.instance_index]) for plane in planes], dtype=np.float32
    )
    if np.allclose(factors, factors[0], rtol=1e-5):
        return None
    add_note("PRIVATE_SCALE", "Philips display values became floating point values: each slice was scaled separately")
    return factors
