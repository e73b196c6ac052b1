"""Instance: one DICOM file, parsed within the bytes it has and judged before a pixel is decoded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import TEXT_VR_DELIMS

from xmed.errors import XmedError
from xmed.io.files import SNIFFED, kind_in, kind_of, reading, regular
from xmed.io.frames import frame_attributes
from xmed.io.header import Header
from xmed.io.limits import afford
from xmed.io.notes import note
from xmed.io.prescan import prescan, refuse_uids

# Scanners write values longer than their VR allows. What xmed uses it checks itself, the rest it never quotes.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_MODALITIES = {code.value for cid in (codes.cid29, codes.cid33) for code in cid.concepts.values()}
_TEXT = (
    "PatientName",
    "PatientID",
    "InstitutionName",
    "ReferringPhysicianName",
    "StudyDescription",
    "SeriesDescription",
)


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM object and what identifies it.

    pixel_length: bytes that its pixel element says it has (PS3.5 7.1.1), None for an object without one.
    """

    path: Path
    header: Header
    sop_class: UID
    uid: str
    series: str
    modality: str | None
    pixel_length: int | None

    @cached_property
    def name(self) -> str:
        return self.path.name

    @property
    def dataset(self) -> Dataset:
        """The whole object, parsed when it is first asked for."""
        return self.header.dataset

    @cached_property
    def frames(self) -> list[Mapping[str, Any]]:
        """What the header says of each frame, see `frame_attributes`."""
        return frame_attributes(self.header)

    @cached_property
    def is_image(self) -> bool:
        """Whether this is a picture of a patient, not a report, a segmentation, a dose or a plan (PS3.4 B.5)."""
        name = self.sop_class.name
        if name == str(self.sop_class):  # private, missing, or newer than pydicom: judged by what it holds
            return self.pixel_length is not None and "Rows" in self.header and "SegmentSequence" not in self.header
        return name.removesuffix(" (Retired)").endswith(("Image Storage", "Volume Storage")) and "Non-Image" not in name


def read_instance(path: str | Path) -> Instance:
    """Parse one DICOM file, with or without preamble, whole or cut short; pixels stay as they are stored.

    Raises XmedError PATH_NOT_FOUND, PATH_UNSAFE, EMPTY_FILE, NOT_DICOM, DICOM_TRUNCATED (an image without its pixels),
    UID_INVALID, READER_FAILED, and what `prescan` refuses.
    """
    path = regular(Path(path))
    with reading(path.name):
        data = _bytes_of(path)
        layout = prescan(data, path.name)
        header = Header(data=data, layout=layout) if layout else Header(_parsed(data, path.name))
        instance = _identified(path, header)
    refuse_uids((instance.uid, instance.series, instance.sop_class), path.name)
    if not instance.sop_class and "Rows" not in header:
        if data[128:132] == b"DICM":
            raise XmedError("DICOM_TRUNCATED", f"{path.name} ends in its header", "a whole file", "fetch it again")
        raise XmedError("NOT_DICOM", f"{path.name} names no SOP class", "a DICOM object (PS3.10)")
    if instance.is_image and instance.pixel_length is None:
        raise XmedError("DICOM_TRUNCATED", f"{path.name} ends before its pixels", "a whole file", "fetch it again")
    return instance


def _bytes_of(path: Path) -> bytes:
    """What a file holds, in memory: a parser that believes a length of 2 GiB gets the bytes there are, and no more."""
    with path.open("rb", buffering=0) as file:
        if kind_in(file.read(SNIFFED)) != "dicom":
            raise XmedError("NOT_DICOM", f"{path.name} is no DICOM file", "a DICOM object (PS3.10)")
        afford(4 * os.fstat(file.fileno()).st_size)  # the bytes, the parser's copy of them, and what it makes of them
        file.seek(0)
        return file.read()


def _parsed(data: bytes, name: str) -> Dataset:
    preamble = data[128:132] == b"DICM"
    if not preamble:
        note("NO_PREAMBLE", "files without preamble were read from their first element")
    try:
        dataset = pydicom.dcmread(BytesIO(data), force=not preamble)
    except (OSError, EOFError) as problem:  # not the disk: the bytes end inside an element
        raise XmedError("DICOM_TRUNCATED", f"{name} ends in its header", "a whole file", "fetch it again") from problem
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _sniffed_syntax(dataset)
        note("SYNTAX_SNIFFED", f"no transfer syntax is named: read as {dataset.file_meta.TransferSyntaxUID.name}")
    return dataset


def read_instances(paths: Iterable[Path]) -> list[Instance]:
    """Every DICOM object among `paths`, less DICOMDIR. Other files are passed over, unless their name claims DICOM.

    A slice that was overwritten with something else leaves a gap, but at the end of a stack nobody would miss it:
    hence a file that only calls itself .dcm raises XmedError NOT_DICOM, and an empty one EMPTY_FILE.
    """
    found = []
    for path in paths:
        if path.suffix.lower() in (".dcm", ".dicom", ".ima") or kind_of(path) == "dicom":
            instance = read_instance(path)
            if instance.sop_class.name != "Media Storage Directory Storage":
                found.append(instance)
    return found


def unreadable_text(header: Header) -> bool:
    """Whether text in a header is in bytes that its Specific Character Set (PS3.3 C.12.1.1.2) does not have."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        named = header.get("SpecificCharacterSet") or ""
        encodings = convert_encodings(list(named) if isinstance(named, tuple) else named)
        for keyword in _TEXT:
            if (raw := header.raw(keyword)) is not None:
                decode_bytes(raw, encodings, TEXT_VR_DELIMS)
    return bool(caught)


def _identified(path: Path, header: Header) -> Instance:
    # Where a data set was cut off before its SOP class, the meta information still names it.
    sop_class = header.get("SOPClassUID") or header.dataset.file_meta.get("MediaStorageSOPClassUID")
    return Instance(
        path,
        header,
        sop_class=UID(str(sop_class or "")),
        uid=str(header.get("SOPInstanceUID", "")),
        series=str(header.get("SeriesInstanceUID", "")),
        modality=_modality(str(header.get("Modality") or "")),
        pixel_length=header.pixel_length,
    )


def _modality(stated: str) -> str | None:
    """One of the standard's terms (PS3.16 CID 29 and 33), None where it is empty, OT for whatever else stands there."""
    return (stated if stated in _MODALITIES else "OT") if stated else None


def _sniffed_syntax(dataset: Dataset) -> UID:
    """How a file that does not say so was encoded, as the parser found out from its bytes (PS3.5 section 10)."""
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
