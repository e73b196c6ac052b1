"""Read the attributes of patient and scanner that a validation report may show, and no others."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.dicom.instance import read_instance
from xmed.io.file_kinds import Source, file_kind, list_files

OLDEST_AGE_BAND = 90
"""Ages from here on form one band (HIPAA safe harbour, 45 CFR 164.514(b)(2)(i)(C))."""
MAX_TEXT_LENGTH = 64
"""Longest text that is kept, that of VR LO (PS3.5 6.2)."""


def read_header_metadata(path: Source) -> dict[str, str]:
    """Return sex, age_band, vendor, field_t, study and series of the first image at `path`.

    Ages are reduced to bands of ten years. `vendor` is free text, `study` and `series` are UIDs: pseudonymise them
    before they are stored (`xmed.cohort.pseudonymise`).

    Args:
        path: A file, a folder or a list of files.

    Returns:
        The attributes that are present; empty if there is no DICOM image.
    """
    for file in list_files(path):
        with suppress(XmedError):
            if file_kind(file) == "dicom":
                instance = read_instance(file)
                if instance.is_image:
                    return _metadata(instance.dataset)
    return {}


def _metadata(dataset: Dataset) -> dict[str, str]:
    field = _number(dataset.get("MagneticFieldStrength"))
    metadata = {
        "sex": _text(dataset.get("PatientSex")).upper(),
        "age_band": _band(_text(dataset.get("PatientAge"))),
        "vendor": _text(dataset.get("Manufacturer")),
        "field_t": None
        if field is None
        else f"{field / 10000 if field > 100 else field:.2g}",  # some scanners write gauss
        "study": _text(dataset.get("StudyInstanceUID")),
        "series": _text(dataset.get("SeriesInstanceUID")),
    }
    if metadata["sex"] not in ("F", "M", "O"):  # PS3.3 C.7.1.1
        metadata["sex"] = None
    return {name: text for name, text in metadata.items() if text}


def _band(age: str) -> str | None:
    """Return the ten-year band of an Age String such as 034Y or 006M (PS3.5 6.2, AS)."""
    match = re.fullmatch(r"(\d{3})([DWMY])", age)
    if match is None:
        return None
    years = int(match[1]) if match[2] == "Y" else 0
    low = min(years // 10 * 10, OLDEST_AGE_BAND)
    return f"{low} and over" if low == OLDEST_AGE_BAND else f"{low}-{low + 9}"


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:MAX_TEXT_LENGTH] if value is not None else ""


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
