"""Quantity check: whether the voxels of a de-identified copy have the same values and units as the original."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from pydicom import dcmread

from xmed.deidentify.pixel_mask import SLICES
from xmed.errors import XmedError
from xmed.io.dicom.header import Header
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.pixels import modality_values
from xmed.io.dicom.private_elements import PHILIPS_MR_SLOPE, private_number
from xmed.io.dicom.suv import suv_scale
from xmed.io.notes import collect_notes

_UNIT_NOTES = {"PET_UNITS", "SUV", "REAL_WORLD"}


class _Measured(NamedTuple):
    values: np.ndarray | str
    uptake: float | str | None
    rest: Any


def check_same_quantities(old: Instance, data: bytes) -> None:
    """Compare the values and units of an image with those of its copy, to a relative difference of 1e-6.

    Args:
        old: The original image.
        data: The bytes of the de-identified file.

    Raises:
        XmedError: DEID_UNSAFE if they differ, because an attribute that scales or names the values was not kept.
    """
    if old.sop_class not in SLICES:
        return
    header = Header(dcmread(BytesIO(data)))
    copy = replace(old, header=header, pixel_length=header.pixel_length)
    before, after = _measured(old), _measured(copy)
    if not (_equal(before.values, after.values) and _equal(before.uptake, after.uptake) and before.rest == after.rest):
        raise XmedError("DEID_UNSAFE", "values that mean something else without what may not cross",
                        "a unit and a scale in the standard's own attributes")  # fmt: skip


def _measured(instance: Instance) -> _Measured:
    """Modality values, SUV scale and units of an image; an error code in place of what the reader refuses."""
    with collect_notes() as notes:
        try:
            values: np.ndarray | str = modality_values(instance)
        except XmedError as problem:
            values = problem.code
        try:
            uptake: float | str | None = suv_scale([instance.header])
        except XmedError as problem:
            uptake = problem.code
    units = [str(frame.get("RescaleType") or "") for frame in instance.frames] if instance.modality == "CT" else []
    unit_notes = {note for note in notes if note.code in _UNIT_NOTES}
    return _Measured(
        values, uptake, (units, unit_notes, np.float32(private_number(instance.dataset, PHILIPS_MR_SLOPE)))
    )


def _equal(a: np.ndarray | float | str | None, b: np.ndarray | float | str | None) -> bool:
    if isinstance(a, str) or isinstance(b, str) or a is None or b is None:
        return a is b if a is None or b is None else isinstance(a, str) and isinstance(b, str) and a == b
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-6, atol=0, equal_nan=True)
