"""Look up half-lives of positron emitters, to detect a half-life that was written in another unit than seconds."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

_HALF_LIVES = {
    "_11Carbon": 1221.8,
    "_13Nitrogen": 597.9,
    "_15Oxygen": 122.24,
    "_18Fluorine": 6586.2,
    "_64Copper": 45_721.0,
    "_68Gallium": 4062.6,
    "_82Rubidium": 76.4,
    "_89Zirconium": 282_276.0,
    "_124Iodine": 360_806.0,
}
"""Seconds, from ENSDF (nndc.bnl.gov/nudat3), by the names of PS3.16 CID 4020."""


def nuclide_half_life(injection: Dataset) -> float | None:
    """Return the half-life in seconds for the Radionuclide Code of an injection, None for an unlisted nuclide."""
    for item in injection.get("RadionuclideCodeSequence") or ():
        nuclide_code = Code(str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", "")), "")
        for name, seconds in _HALF_LIVES.items():
            if getattr(codes.cid4020, name) == nuclide_code:  # SNOMED RT's codes are equal to SNOMED CT's
                return seconds
    return None
