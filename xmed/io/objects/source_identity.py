"""Check and complete the patient and study attributes of images that a DICOM object refers to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from pydicom import DataElement, Dataset, config
from pydicom.datadict import keyword_for_tag
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from xmed.errors import XmedError
from xmed.io.notes import add_note

PATIENT_AND_STUDY = [
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
]
"""Type 2 attributes of the Patient and General Study modules: required, but may be empty (PS3.5 7.4.3)."""
_STUDY = {*PATIENT_AND_STUDY, "StudyDescription", "PhysiciansOfRecord", "ConsultingPhysicianName"}
_PATIENT_GROUPS = (0x0010, 0x0012)
_DATE, _TIME = (
    re.compile(r"(\d{4})(\d{2})(\d{2})"),
    re.compile(r"([01]\d|2[0-3])(([0-5]\d)(([0-5]\d|60)(\.\d{1,6})?)?)?"),
)
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}


def conforming_header(dataset: Dataset) -> Dataset:
    """Return a copy without pixels in which the patient and study attributes conform to the standard.

    Dates and times in ACR-NEMA format (PS3.5 6.2) and spelled-out sexes are rewritten. Invalid values become empty
    where the standard allows it (type 2), and are left out elsewhere. Missing type 2 attributes are added empty. Each
    change is noted.

    Raises:
        XmedError: NOT_REFERABLE for an invalid Patient ID, because an object without it would belong to no patient.
    """
    copy = Dataset()
    copy.file_meta = dataset.file_meta
    for tag in sorted(dataset.keys()):
        keyword = keyword_for_tag(tag)
        if keyword == "PixelData":
            continue
        try:
            element: DataElement | None = _conforming_element(dataset[tag])
        except (ValueError, TypeError, OverflowError, NotImplementedError, KeyError):
            element = None  # pydicom cannot convert it
        if element is not None:
            copy.add(element)
        elif keyword == "PatientID":
            raise XmedError("NOT_REFERABLE", "PatientID is not a valid value", "at most 64 characters")
        elif keyword in PATIENT_AND_STUDY:
            add_note("OBJECT_FILLED", f"{keyword} is not a valid value: left empty in the written object")
        elif tag.group in _PATIENT_GROUPS:
            add_note(
                "OBJECT_FILLED", f"{keyword or 'an attribute'} is not a valid value: left out of the written object"
            )
    if "SpecificCharacterSet" in copy:
        copy.SpecificCharacterSet = "ISO_IR 192"  # text is decoded; highdicom refuses code extensions
    for keyword in PATIENT_AND_STUDY:
        if keyword not in copy:
            if keyword not in dataset:
                add_note("OBJECT_FILLED", f"{keyword} is missing: left empty in the written object")
            setattr(copy, keyword, "")
    return copy


def check_referable(images: Sequence[Dataset], *, placed: bool) -> None:
    """Check that a DICOM object can refer to these images.

    Args:
        images: Headers of the images.
        placed: Whether the images have a position in space, so that a frame of reference is required.

    Raises:
        XmedError: NOT_REFERABLE with the attributes that are missing, are not UIDs, or are equal where they must
            differ.
    """
    needed = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
    needed += ["FrameOfReferenceUID"] if placed else []
    missing = [keyword for keyword in needed if not all(image.get(keyword) for image in images)]
    if missing:
        raise _not_referable(f"images without {', '.join(missing)}", "images that have it")
    wrong = [keyword for keyword in needed if not all(UID(str(image.get(keyword))).is_valid for image in images)]
    if wrong:
        raise _not_referable(f"images whose {', '.join(wrong)} is no UID", "a UID as PS3.5 9.1 writes it")
    uids = {str(image.SOPInstanceUID) for image in images}
    if len(uids) < len(images):
        raise _not_referable(f"{len(images)} images that share {len(uids)} SOPInstanceUID", "a SOPInstanceUID for each")
    several = [k for k in ("StudyInstanceUID", "PatientID") if len({str(image.get(k, "")) for image in images}) > 1]
    if several:
        raise _not_referable(f"images of several {', '.join(several)}", "one patient and one study")


def _not_referable(what: str, expected: str) -> XmedError:
    return XmedError("NOT_REFERABLE", what, f"{expected}, to refer to", "fetch the original series, or write NIfTI")


def _conforming_element(element: DataElement) -> DataElement | None:
    """Return the element, rewritten if necessary, or None if its value is invalid."""
    judged = element.keyword in _STUDY or element.tag.group in _PATIENT_GROUPS
    if not judged or element.VR == "SQ" or element.is_empty:
        return element
    values = list(element.value) if element.VM > 1 else [element.value]
    conforming = [_conforming_value(element.keyword, element.VR, value) for value in values]
    if None in conforming:
        return None
    if conforming == values:
        return element
    add_note("OBJECT_FILLED", f"{element.keyword} was rewritten as the standard requires")
    return DataElement(element.tag, element.VR, conforming if len(conforming) > 1 else conforming[0])


def _conforming_value(keyword: str, vr: str, value: Any) -> Any:
    """Return a value as the standard writes it, or None if it is invalid."""
    text = str(value).strip()
    if "\ufffd" in text:  # undecodable bytes
        return None
    if keyword == "PatientSex":
        return _SEX.get(text.casefold())
    if vr == "DA":
        parts = _DATE.fullmatch(re.sub(r"[.\-/]", "", text))
        return "".join(parts.groups()) if parts and _is_date(*map(int, parts.groups())) else None
    if vr == "TM":
        plain = text.replace(":", "")
        return plain if _TIME.fullmatch(plain) else None
    try:
        validate_value(vr, text if vr == "PN" else value, config.RAISE)
    except ValueError:
        return None
    return value


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        return bool(date(year, month, day))
    except ValueError:
        return False
