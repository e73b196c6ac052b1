"""Read the private elements that scale stored values, as documented by their vendors and in PS3.15 E.3.10."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any, NamedTuple

from pydicom import Dataset


class PrivateElement(NamedTuple):
    """One private element, wherever its block begins.

    Attributes:
        group: Group number.
        creator: Private creator.
        element: Last byte of the element number.
        kind: VR.
    """

    group: int
    creator: str
    element: int
    kind: str


PHILIPS_SUV = PrivateElement(0x7053, "Philips PET Private Group", 0x00, "DS")
"""Factor from counts to SUV by body weight, g/ml."""
PHILIPS_ACTIVITY = PrivateElement(0x7053, "Philips PET Private Group", 0x09, "DS")
"""Factor from counts to Bq/ml."""
GE_SCAN = PrivateElement(0x0009, "GEMS_PETD_01", 0x0D, "DT")
"""Start of the scan, also for a series that was reconstructed later."""
PHILIPS_MR_SLOPE = PrivateElement(0x2005, "Philips MR Imaging DD 001", 0x0E, "FL")
"""Scale slope SS. Floating point values that are comparable within a scan are FP = (PV · RS + RI) / (RS · SS), with
stored value PV, rescale slope RS and intercept RI (Chenevert et al. 2014).
"""
SCALING = (PHILIPS_SUV, PHILIPS_ACTIVITY, GE_SCAN, PHILIPS_MR_SLOPE)


def private_value(dataset: Dataset, element: PrivateElement) -> Any:
    """Read the value of a private element.

    Args:
        dataset: The data set.
        element: The private element.

    Returns:
        Its value, or None if it is absent.
    """
    with suppress(KeyError, ValueError):
        return dataset.private_block(element.group, element.creator)[element.element].value
    return None


def private_number(dataset: Dataset, element: PrivateElement) -> float:
    """Read the number in a private element.

    Args:
        dataset: The data set.
        element: The private element.

    Returns:
        The number; 0 if the element is absent or not a number.
    """
    value = private_value(dataset, element)
    with suppress(TypeError, ValueError, struct.error):
        if element.kind == "FL" and isinstance(value, bytes):  # VR UN, written by a system that did not know it
            return float(struct.unpack("<f", value)[0])
        return float(value.decode("ascii") if isinstance(value, bytes) else value)
    return 0.0
