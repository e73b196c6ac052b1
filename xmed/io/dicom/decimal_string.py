"""Write numbers as DICOM Decimal Strings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.valuerep import DS


def decimal_strings(values: Iterable[float]) -> list[Any]:
    """Convert numbers to at most 16 characters (PS3.5 6.2), which the values of scanners often exceed."""
    return [DS(float(value), auto_format=True) for value in values]
