"""DICOM file: de-identifies one DICOM image into a new file whose voxels have the same values and units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from xmed import __version__
from xmed.deidentify.allowed_attributes import METHOD_CODES
from xmed.deidentify.key import Secret
from xmed.deidentify.pixel_mask import SLICES, check_permitted, put_pixels
from xmed.deidentify.rebuild import Rebuilder
from xmed.errors import XmedError
from xmed.io.dicom.header import Header
from xmed.io.dicom.instance import Instance, read_instance
from xmed.io.dicom.pixels import modality_values
from xmed.io.dicom.private_elements import PHILIPS_MR_SLOPE, private_number
from xmed.io.dicom.suv import suv_scale
from xmed.io.file_kinds import reader_errors
from xmed.io.notes import collect_notes

_UNIT_NOTES = {"PET_UNITS", "SUV", "REAL_WORLD"}
Face = Literal["not-in-view", "defaced", "retained"]
Pair = tuple[str, str, str]
"""Kind, pseudonym, original."""
_HEAD = ("HEAD", "BRAIN", "SKULL", "FACE", "ORBIT", "SINUS", "CRANIUM", "JAW", "MAXILLA", "MANDIBLE", "PITUITARY")
_HEAD_CODES = {"69536005", "12738006", "89546000", "774007", "T-D1100", "T-A0100"}  # head, brain, skull, head and neck


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


@dataclass(frozen=True)
class Policy:
    """Decisions of the user.

    Attributes:
        flow: Colour flow regions are kept as tissue.
        written: Burned-in text was inspected and may stay.
        face: The state of faces in images of heads; None withholds such images.
    """

    flow: bool = False
    written: bool = False
    face: Face | None = None


@dataclass(frozen=True)
class CleanFile:
    """A de-identified file.

    Attributes:
        name: Path below the output folder.
        data: The bytes of the file.
        pairs: Records for the crosswalk; they identify the patient and must not be printed.
    """

    name: str
    data: bytes
    pairs: tuple[Pair, ...]


def clean_dicom(path: Path, secret: Secret, policy: Policy) -> CleanFile:
    """De-identify one DICOM image (PS3.15 E.1.1); nothing is written.

    Args:
        path: The file.
        secret: The key for pseudonyms, UIDs and the date shift.
        policy: Decisions of the user.

    Raises:
        XmedError: FACE_VISIBLE, DEID_UNSAFE, US_NO_REGION, BURNED_IN_TEXT, UID_INVALID, TSUID_MISMATCH, and the codes
            of `read_instance`.
    """
    old = read_instance(path)
    with reader_errors("the file"):
        check_permitted(old)
        person = _person(old.dataset)
        patient = secret.name("patient", person)
        head = _shows_head(old.dataset) and old.modality in ("MR", "CT", "PT")
        if head and policy.face is None:
            raise XmedError(
                "FACE_VISIBLE", "images of a head", "a decision about faces", "--face defaced, not-in-view or retained"
            )
        new = Rebuilder(secret, patient, secret.shift(person)).rebuild(old.dataset)
        cleaned = put_pixels(old, new, flow=policy.flow, written=policy.written)
        _declare(new, cleaned, policy.face if head else None)
        data = _bytes(new)
        check_same_quantities(old, data)
        series, instance = str(new.SeriesInstanceUID), str(new.SOPInstanceUID)
        name = f"{patient}/{secret.name('series', series)}/{secret.name('instance', instance)}.dcm"
        return CleanFile(name, data, (("patient", patient, person), *_uids(old.dataset, secret)))


def clean_header(old: Dataset, secret: Secret) -> tuple[Dataset, tuple[Pair, ...]]:
    """De-identify the header of an image, for objects that refer to the image.

    There are no pixels, so that faces and burned-in text are not checked.

    Args:
        old: The header.
        secret: The key that pseudonyms are made with.

    Returns:
        The new data set, and the records for the crosswalk.

    Raises:
        XmedError: DEID_UNSAFE, UID_INVALID.
    """
    person = _person(old)
    patient = secret.name("patient", person)
    new = Rebuilder(secret, patient, secret.shift(person)).rebuild(old)
    for keyword in ("Rows", "Columns", "NumberOfFrames"):
        if keyword in old:
            setattr(new, keyword, int(old[keyword].value))
    _declare(new, False, None)
    _meta(new)
    return new, (("patient", patient, person), *_uids(old, secret))


def _person(data: Dataset) -> str:
    """The identity that pseudonyms are made from: Patient ID, else name and birth date, else the study's UID."""
    identifiers = [str(data.get(keyword) or "").strip() for keyword in ("PatientID", "PatientName", "PatientBirthDate")]
    return identifiers[0] or " ".join(identifiers[1:]).strip() or str(data.get("StudyInstanceUID", ""))


def _shows_head(data: Dataset) -> bool:
    """Whether Body Part Examined, the anatomic region or a description in the header names a part of the head."""
    words = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
    text = " ".join(str(data.get(keyword, "")) for keyword in words).upper()
    shared = data.get("SharedFunctionalGroupsSequence") or [Dataset()]
    anatomy = shared[0].get("FrameAnatomySequence") or []
    regions = [code for item in [data, *anatomy] for code in item.get("AnatomicRegionSequence") or ()]
    return any(word in text for word in _HEAD) or any(code.get("CodeValue") in _HEAD_CODES for code in regions)


def _uids(old: Dataset, secret: Secret) -> Iterator[Pair]:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        if uid := str(old.get(keyword, "")).strip():
            yield "uid", secret.uid(uid), uid


def _declare(new: Dataset, cleaned: bool, face: Face | None) -> None:
    """Record what was done in the attributes of PS3.15 E.1.1 and E.3."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if keyword not in new:
            raise XmedError("UID_INVALID", f"an image without {keyword}", "an identifier")
    codes = ["113100", "113107"] + ["113101"] * cleaned + ["113108"] * ("PatientWeight" in new)
    codes += ["113111"] * any(element.tag.is_private for element in new)
    new.PatientIdentityRemoved, new.LongitudinalTemporalInformationModified = "YES", "MODIFIED"
    new.DeidentificationMethod = f"xmed {__version__} allow-list" + (f"; face {face}" if face else "")
    new.DeidentificationMethodCodeSequence = [_method(code) for code in sorted(codes)]
    if face:
        new.RecognizableVisualFeatures = "YES" if face == "retained" else "NO"


def _method(code: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", METHOD_CODES[code]
    return item


def _bytes(new: Dataset) -> bytes:
    """The bytes of a new DICOM file (PS3.10): preamble of zeros, meta information of the new object only."""
    _meta(new)
    file = BytesIO()
    dcmwrite(file, new, enforce_file_format=True)
    return file.getvalue()


def _meta(new: Dataset) -> None:
    new.file_meta = FileMetaDataset()
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    new.file_meta.MediaStorageSOPClassUID = new.SOPClassUID
    new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
