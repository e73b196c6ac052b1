"""The few private elements that scale stored values, as documented by their vendors and PS3.15 E.3.10."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any, NamedTuple

from pydicom import Dataset


class PrivateElement(NamedTuple):
    """One private element, wherever its block begins. kind: its VR."""

    group: int
    creator: str
    element: int
    kind: str


PHILIPS_SUV = PrivateElement(0x7053, "Philips PET Private Group", 0x00, "DS")
"""What makes SUV by body weight, g/ml, of counts."""
PHILIPS_ACTIVITY = PrivateElement(0x7053, "Philips PET Private Group", 0x09, "DS")
"""What makes Bq/ml of counts."""
GE_SCAN = PrivateElement(0x0009, "GEMS_PETD_01", 0x0D, "DT")
"""When a scan began, whenever its series was made."""
PHILIPS_MR_SLOPE = PrivateElement(0x2005, "Philips MR Imaging DD 001", 0x0E, "FL")
"""SS of FP = (PV · RS + RI) / (RS · SS): values of one scan that compare (Chenevert et al. 2014)."""
SCALING = (PHILIPS_SUV, PHILIPS_ACTIVITY, GE_SCAN, PHILIPS_MR_SLOPE)


def private_value(dataset: Dataset, element: PrivateElement) -> Any:
    """The value of a private element, None where there is none."""
    with suppress(KeyError, ValueError):
        return dataset.private_block(element.group, element.creator)[element.element].value
    return None


def private_number(dataset: Dataset, element: PrivateElement) -> float:
    """The number in a private element; 0 where there is none, or something else."""
    value = private_value(dataset, element)
    with suppress(TypeError, ValueError, struct.error):
        if element.kind == "FL" and isinstance(value, bytes):  # copied through a system that did not know its kind: UN
            return float(struct.unpack("<f", value)[0])
        return float(value.decode("ascii") if isinstance(value, bytes) else value)
    return 0.0
