"""Read one DICOM file and check it before pixels are decoded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import TEXT_VR_DELIMS

from xmed.errors import XmedError
from xmed.io.dicom.frames import FrameAttributes, frame_attributes
from xmed.io.dicom.header import Header
from xmed.io.dicom.prescan import check_uids, prescan
from xmed.io.dicom.sop_classes import object_modality, sop_class_name, stores_images
from xmed.io.file_kinds import SIGNATURE_BYTES, file_kind, kind_from_bytes, reader_errors, require_file
from xmed.io.notes import add_note
from xmed.io.sandbox.limits import grow_limits

# Scanners write values that are longer than their VR allows. xmed checks those that it uses itself.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_TEXT_KEYWORDS = (
    "PatientName",
    "PatientID",
    "InstitutionName",
    "ReferringPhysicianName",
    "StudyDescription",
    "SeriesDescription",
)


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM object and its identification.

    Attributes:
        path: The file.
        header: Its attributes.
        sop_class: SOP Class UID.
        uid: SOP Instance UID.
        series: Series Instance UID.
        modality: DICOM modality, or None.
        pixel_length: Length in bytes that Pixel Data states (PS3.5 7.1.1), None without pixels.
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
        """The file name."""
        return self.path.name

    @property
    def dataset(self) -> Dataset:
        """The whole object, parsed when it is first used."""
        return self.header.dataset

    @cached_property
    def frames(self) -> list[FrameAttributes]:
        """The attributes of each frame, see `frame_attributes`."""
        return frame_attributes(self.header)

    @cached_property
    def is_image(self) -> bool:
        """Whether the object is an image of a patient, and not a report, segmentation, dose or plan (PS3.4 B.5)."""
        by_class = stores_images(self.sop_class)
        if by_class is None:  # private, missing or newer than the table
            return self.pixel_length is not None and "Rows" in self.header and "SegmentSequence" not in self.header
        return by_class

    @property
    def kind(self) -> str:
        """The name of the SOP class (PS3.4 B.5), such as CT Image Storage."""
        return sop_class_name(self.sop_class)


def read_instance(path: str | Path) -> Instance:
    """Read one DICOM file, with or without preamble.

    Args:
        path: The file.

    Returns:
        The object; its pixels are not decoded.

    Raises:
        XmedError: PATH_NOT_FOUND, PATH_UNSAFE, EMPTY_FILE, NOT_DICOM, DICOM_TRUNCATED (the file ends early, or an image
            has no pixels), UID_INVALID, READER_FAILED, and the codes of `prescan`.
    """
    path = require_file(Path(path))
    with reader_errors(path.name):
        data = _bytes_of(path)
        layout = prescan(data, path.name)
        header = Header(data=data, layout=layout) if layout else Header(_parsed(data, path.name))
        instance = _make_instance(path, header)
    check_uids((instance.uid, instance.series, instance.sop_class), path.name)
    if not instance.sop_class and "Rows" not in header:
        if data[128:132] == b"DICM":
            raise XmedError("DICOM_TRUNCATED", f"{path.name} ends in its header", "a whole file", "fetch it again")
        raise XmedError("NOT_DICOM", f"{path.name} has no SOP class", "a DICOM object (PS3.10)")
    if instance.is_image and instance.pixel_length is None:
        raise XmedError("DICOM_TRUNCATED", f"{path.name} ends before its pixels", "a whole file", "fetch it again")
    return instance


def _bytes_of(path: Path) -> bytes:
    """Return the content of a DICOM file.

    A parser that believes a wrong length then cannot read beyond the file.
    """
    with path.open("rb", buffering=0) as file:
        if kind_from_bytes(file.read(SIGNATURE_BYTES)) != "dicom":
            raise XmedError("NOT_DICOM", f"{path.name} is not a DICOM file", "a DICOM object (PS3.10)")
        grow_limits(4 * os.fstat(file.fileno()).st_size)  # the bytes, a copy, and the parsed values
        file.seek(0)
        return file.read()


def _parsed(data: bytes, name: str) -> Dataset:
    preamble = data[128:132] == b"DICM"
    if not preamble:
        add_note("NO_PREAMBLE", "files without preamble were read from their first element")
    try:
        dataset = pydicom.dcmread(BytesIO(data), force=not preamble)
    except (OSError, EOFError) as problem:  # the bytes end inside an element
        raise XmedError("DICOM_TRUNCATED", f"{name} ends in its header", "a whole file", "fetch it again") from problem
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _detected_syntax(dataset)
        add_note("SYNTAX_SNIFFED", f"no transfer syntax is stated: read as {dataset.file_meta.TransferSyntaxUID.name}")
    return dataset


def read_instances(paths: Iterable[Path]) -> list[Instance]:
    """Read every DICOM object among `paths` except DICOMDIR; other files are skipped.

    A missing slice at the end of a stack leaves no gap. Therefore a file that is named .dcm but is not DICOM raises
    XmedError NOT_DICOM instead of being skipped, and an empty one raises EMPTY_FILE.
    """
    instances = []
    for path in paths:
        if path.suffix.lower() in (".dcm", ".dicom", ".ima") or file_kind(path) == "dicom":
            instance = read_instance(path)
            if instance.sop_class.name != "Media Storage Directory Storage":
                instances.append(instance)
    return instances


def has_undecodable_text(header: Header) -> bool:
    """Return whether the header holds text that its Specific Character Set (PS3.3 C.12.1.1.2) cannot decode."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        named = header.get("SpecificCharacterSet") or ""
        encodings = convert_encodings(list(named) if isinstance(named, tuple) else named)
        for keyword in _TEXT_KEYWORDS:
            if (raw := header.raw(keyword)) is not None:
                decode_bytes(raw, encodings, TEXT_VR_DELIMS)
    return bool(caught)


def _make_instance(path: Path, header: Header) -> Instance:
    # A data set that ends before its SOP class still states it in the file meta information.
    named = header.get("SOPClassUID") or header.dataset.file_meta.get("MediaStorageSOPClassUID")
    sop_class = UID(str(named or ""))
    return Instance(
        path,
        header,
        sop_class=sop_class,
        uid=str(header.get("SOPInstanceUID", "")),
        series=str(header.get("SeriesInstanceUID", "")),
        modality=object_modality(header),
        pixel_length=header.pixel_length,
    )


def _detected_syntax(dataset: Dataset) -> UID:
    """Return the encoding that the parser detected in a file without transfer syntax (PS3.5 section 10)."""
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
