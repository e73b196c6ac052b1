"""Decimal string: numbers as DICOM's Decimal String holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.valuerep import DS


def decimal_strings(values: Iterable[float]) -> list[Any]:
    """Numbers in at most 16 characters (PS3.5 6.2), which those that scanners write often exceed."""
    return [DS(float(value), auto_format=True) for value in values]
