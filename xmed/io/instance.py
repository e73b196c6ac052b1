"""Instance: one DICOM file, parsed within the bytes it has and judged before a pixel is decoded."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from xmed.errors import XmedError
from xmed.io.files import kind_of, reading, regular

# Scanners write values longer than their VR allows. What xmed uses it checks itself, the rest it never quotes.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

MAX_INFLATED = 512 << 20
UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM object and what identifies it.

    pixel_length: bytes that its pixel element says it has (PS3.5 7.1.1), None for an object without one.
    """

    path: Path
    dataset: Dataset
    sop_class: UID
    uid: str
    series: str
    modality: str | None
    pixel_length: int | None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_image(self) -> bool:
        """Whether this is a picture of a patient, not a report, a segmentation, a dose or a plan (PS3.4 B.5)."""
        name = self.sop_class.name
        if name == str(self.sop_class):  # private, missing, or newer than pydicom: judged by what it holds
            return self.pixel_length is not None and "Rows" in self.dataset and "SegmentSequence" not in self.dataset
        return name.removesuffix(" (Retired)").endswith(("Image Storage", "Volume Storage")) and "Non-Image" not in name


def read_instance(path: str | Path) -> Instance:
    """Parse one DICOM file, with or without preamble, whole or cut short; pixels stay as they are stored.

    Raises XmedError PATH_NOT_FOUND, PATH_UNSAFE, EMPTY_FILE, NOT_DICOM, DICOM_TRUNCATED (an image without its pixels),
    SIZE_CLAIM (a deflated data set that bursts), READER_FAILED.
    """
    path = regular(Path(path))
    if kind_of(path) != "dicom":
        raise XmedError("NOT_DICOM", f"{path.name} is no DICOM file", "a DICOM object (PS3.10)")
    with reading(path.name):
        data = path.read_bytes()
        _refuse_bomb(data, path.name)
        # From memory: a parser that believes a length of 2 GiB gets the bytes there are, and allocates no more.
        try:
            dataset = pydicom.dcmread(BytesIO(data), force=data[128:132] != b"DICM")
        except (OSError, EOFError) as problem:  # not the disk: the bytes end inside an element
            raise XmedError(
                "DICOM_TRUNCATED", f"{path.name} ends in its header", "a whole file", "fetch it again"
            ) from problem
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = _sniffed_syntax(dataset)
        instance = _identified(path, dataset)
    if not instance.sop_class and "Rows" not in dataset:
        if data[128:132] == b"DICM":
            raise XmedError("DICOM_TRUNCATED", f"{path.name} ends in its header", "a whole file", "fetch it again")
        raise XmedError("NOT_DICOM", f"{path.name} names no SOP class", "a DICOM object (PS3.10)")
    if instance.is_image and instance.pixel_length is None:
        raise XmedError("DICOM_TRUNCATED", f"{path.name} ends before its pixels", "a whole file", "fetch it again")
    return instance


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


def _identified(path: Path, dataset: Dataset) -> Instance:
    # Where a data set was cut off before its SOP class, the meta information still names it.
    sop_class = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    pixels = dataset.get_item("PixelData") if "PixelData" in dataset else None  # undecoded: its length is as declared
    return Instance(
        path,
        dataset,
        sop_class=UID(str(sop_class or "")),
        uid=str(dataset.get("SOPInstanceUID", "")),
        series=str(dataset.get("SeriesInstanceUID", "")),
        modality=str(dataset.get("Modality", "")) or None,
        pixel_length=None if pixels is None else getattr(pixels, "length", len(pixels.value or b"")),
    )


def _sniffed_syntax(dataset: Dataset) -> UID:
    """How a file that does not say so was encoded, as the parser found out from its bytes (PS3.5 section 10)."""
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _refuse_bomb(data: bytes, name: str) -> None:
    """Inflate a deflated data set once, no further than the limit: pydicom would inflate all of it."""
    if DeflatedExplicitVRLittleEndian.encode() not in data[132:1024] or data[128:132] != b"DICM":
        return
    start = 144 + int.from_bytes(data[140:144], "little")  # (0002,0000) gives the length of the meta information
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        stream.decompress(data[start:], MAX_INFLATED)
    except zlib.error as problem:
        raise XmedError("DICOM_TRUNCATED", f"{name} does not inflate", "a whole deflated data set") from problem
    if stream.unconsumed_tail:
        raise XmedError("SIZE_CLAIM", f"{name} inflates beyond {MAX_INFLATED >> 20} MiB", "a data set of credible size")
