"""Check that the images of a series, or an image and its label, belong to the same person."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from xmed.errors import XmedError
from xmed.io.dicom.header import Header
from xmed.io.dicom.instance import Instance
from xmed.io.notes import add_note

Subject = tuple[tuple[str, str], ...]

PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
"""Attributes that identify the patient (PS3.3 C.7.1.1)."""
CONSTANT = (
    *PATIENT,
    "StudyInstanceUID", "StudyDate", "StudyID", "AccessionNumber",  # C.7.2.1
    "SeriesNumber", "Laterality", "PatientPosition",  # C.7.3.1
    "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber",  # C.7.5.1
)  # fmt: skip
"""Attributes that are constant within a series, besides the modality. The frame of reference (C.7.4.1) is compared with
the positions.
"""
DESCRIPTIONS = ("BodyPartExamined", "ProtocolName", "SeriesDescription")
"""Attributes that the standard keeps constant in a series (C.7.3.1), but that are free descriptions."""


def check_series_identity(series: Sequence[Instance]) -> None:
    """Refuse a series whose images state different patients, studies, series or scanners.

    Different spellings of the same value are no difference, and neither is a missing value.

    Raises:
        XmedError: MIXED_IDENTITY; it names the attributes, never their values.
    """
    headers = [instance.header for instance in series]
    mixed = [keyword for keyword in CONSTANT if _values_differ(headers, keyword)]
    if len({instance.modality for instance in series if instance.modality}) > 1:
        mixed.append("Modality")
    if mixed:
        raise XmedError(
            "MIXED_IDENTITY",
            f"images under one Series Instance UID differ in {', '.join(mixed)}",
            "one patient, study, series and scanner",
            "fetch the series from where it was made; a de-identification may have given two series one identifier",
        )
    if described := [keyword for keyword in DESCRIPTIONS if _values_differ(headers, keyword)]:
        add_note("SERIES_WORDS", f"images of one series differ in {', '.join(described)}")


def subject_digests(header: Header) -> Subject:
    """Return SHA-256 digests of the attributes that identify the patient, which can be compared but not read."""
    return tuple(
        (keyword, hashlib.sha256(text.encode()).hexdigest())
        for keyword in PATIENT
        for keyword, text in _normalised_texts(header, keyword).items()
    )


def check_same_subject(name: str, header: Header, image: Subject) -> None:
    """Refuse a label of another patient than its image.

    Raises:
        XmedError: MIXED_IDENTITY.
    """
    own, other = dict(subject_digests(header)), dict(image)
    mixed = sorted({key.partition(" ")[0] for key in own.keys() & other.keys() if own[key] != other[key]})
    if mixed:
        raise XmedError(
            "MIXED_IDENTITY",
            f"{name} and its image differ in {', '.join(mixed)}",
            "a label of the same patient",
            "check which file belongs to which image",
        )


def _values_differ(headers: Sequence[Header], keyword: str) -> bool:
    """Return whether two headers state different values. Equal bytes are not parsed."""
    if all(header.is_indexed for header in headers):
        raw = {(header.raw(keyword) or b"").strip(b" \0") for header in headers} - {b""}
        if len(raw) < 2:
            return False
    texts_by_part: dict[str, set[str]] = {}
    for header in headers:
        for part, text in _normalised_texts(header, keyword).items():
            texts_by_part.setdefault(part, set()).add(text)
    return any(len(texts) > 1 for texts in texts_by_part.values())


def _normalised_texts(header: Header, keyword: str) -> Mapping[str, str]:
    """Return the text of an attribute in a normalised spelling, one entry for each representation."""
    text = unicodedata.normalize("NFKC", header.text(keyword).replace("\0", " ")).casefold()
    if "\ufffd" in text:  # undecodable bytes: the value is unknown
        return {}
    spelt = _NORMALISERS.get(keyword, _words)
    parts = text.split("=") if keyword == "PatientName" else [text]  # alphabetic, ideographic, phonetic (PS3.5 6.2)
    named = ((keyword if n == 0 else f"{keyword} {n}", spelt(part)) for n, part in enumerate(parts))
    return {name: part for name, part in named if part}


def _words(text: str) -> str:
    return " ".join(text.replace("^", " ").split())


def _digits(text: str) -> str:
    """Return the digits of a date, which ACR-NEMA wrote as 1950.01.02."""
    return re.sub(r"\D", "", text)


_NORMALISERS: dict[str, Callable[[str], str]] = {
    "PatientBirthDate": _digits,
    "StudyDate": _digits,
    "PatientSex": lambda text: _words(text)[:1],
}
