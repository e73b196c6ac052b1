"""Rows 1 to 13, 22, 23 and 66: DICOM files whose bytes, lengths or names lie."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from support.corpus import row
from support.synthetic_dicom import image, oblique, save, slices, texture

ARRAY, AFFINE = texture((24, 18, 5)), oblique()
UNDEFINED = b"\xff\xff\xff\xff"


def series(folder: Path) -> Path:
    """A good series in `folder`; returns one of its files, for a row to damage."""
    return save(slices(ARRAY, AFFINE), folder) / "002.dcm"


def meta_end(data: bytes) -> int:
    return 144 + int.from_bytes(data[140:144], "little")


def replace_value(path: Path, at_tag: bytes, value: bytes) -> None:
    """Overwrite the bytes behind an explicit element's tag and kind: its length, and what follows."""
    data = path.read_bytes()
    at = data.index(at_tag) + len(at_tag)
    path.write_bytes(data[:at] + value + data[at + len(value) :])


@row(1, "error", "EMPTY_FILE")
def empty(folder: Path) -> None:
    """A slice of 0 bytes."""
    series(folder).write_bytes(b"")


@row(2, "error", "NOT_DICOM")
def text(folder: Path) -> None:
    """Text that is called .dcm."""
    series(folder).write_text("the disk was full")


@row(3, "quarantine", "DICOM_TRUNCATED")
def truncated_pixels(folder: Path) -> None:
    """A slice that ends in its pixels."""
    path = series(folder)
    path.write_bytes(path.read_bytes()[:-50])


@row(4, "quarantine", "DICOM_TRUNCATED")
def truncated_header(folder: Path) -> None:
    """A slice that ends in its header."""
    path = series(folder)
    path.write_bytes(path.read_bytes()[:700])


@row(5, "fixed", "NO_PREAMBLE")
def no_preamble(folder: Path) -> None:
    """No preamble, and from the second slice on no meta information."""
    series(folder)
    for n, path in enumerate(sorted(folder.iterdir())):
        data = path.read_bytes()
        path.write_bytes(data[meta_end(data) if n else 132 :])


@row(6, "fixed", "SYNTAX_SNIFFED")
def no_transfer_syntax(folder: Path) -> None:
    """Meta information that names no transfer syntax."""
    series(folder)
    for path in folder.iterdir():
        data = path.read_bytes()
        at = data.index(b"\x02\x00\x10\x00UI")
        end = at + 8 + int.from_bytes(data[at + 6 : at + 8], "little")
        length = struct.pack("<I", meta_end(data) - 144 - (end - at))
        path.write_bytes(data[:140] + length + data[144:at] + data[end:])


@row(7, "quarantine", "TSUID_MISMATCH")
def syntax_implicit_lies(folder: Path) -> None:
    """Explicit by its transfer syntax, implicit by its bytes."""
    path = series(folder)
    explicit = path.read_bytes()
    ds = slices(ARRAY, AFFINE)[2]
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit = (save([ds], folder, names=["002.dcm"]) / "002.dcm").read_bytes()
    path.write_bytes(explicit[: meta_end(explicit)] + implicit[meta_end(implicit) :])


@row(7, "quarantine", "TSUID_MISMATCH")
def syntax_jpeg_lies(folder: Path) -> None:
    """JPEG by its transfer syntax, native by its pixels."""
    path = series(folder)
    data = path.read_bytes()
    at = data.index(b"\x02\x00\x10\x00UI")
    end = at + 8 + int.from_bytes(data[at + 6 : at + 8], "little")
    named = JPEGBaseline8Bit.encode() + b"\0" * (len(JPEGBaseline8Bit) % 2)
    length = struct.pack("<I", meta_end(data) - 144 + len(named) - (end - at - 8))
    path.write_bytes(data[:140] + length + data[144 : at + 6] + struct.pack("<H", len(named)) + named + data[end:])


@row(8, "error", "SIZE_CLAIM")
def rows_and_columns(folder: Path) -> None:
    """65,535 rows and columns in 2 kB."""
    path = series(folder)
    for element in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
        replace_value(path, element, b"\xff\xff")


@row(9, "error", "SIZE_CLAIM")
def frames(folder: Path) -> None:
    """2,147,483,647 frames in 2 kB."""
    ds = slices(ARRAY, AFFINE)[0]
    ds.NumberOfFrames = 2**31 - 1
    save([ds], folder)


@row(10, "error", "SIZE_CLAIM")
def pixel_length(folder: Path) -> None:
    """Pixels of 4 GB by their length, of 1 kB by their bytes."""
    replace_value(series(folder), b"\xe0\x7f\x10\x00OW\0\0", b"\xfe\xff\xff\xff")


@row(11, "error", "INFLATE_LIMIT")
def deflate_bomb(folder: Path) -> None:
    """600 kB that inflate to 600 MB."""
    ds = image(np.ones((4, 4), np.uint16), slices(ARRAY, AFFINE)[0].SOPClassUID, "MR")
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save([ds], folder) / "000.dcm"
    data = path.read_bytes()
    plain = zlib.decompress(data[meta_end(data) :], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(plain[: plain.index(b"\xe0\x7f\x10\x00OW")]) + packer.compress(
        b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 600 << 20)
    )
    head += packer.flush(zlib.Z_FULL_FLUSH)  # what follows refers to nothing before it, so that it may be repeated
    mebibyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(data[: meta_end(data)] + head + mebibyte * 600 + packer.flush())


@row(12, "quarantine", "NESTING")
def nested(folder: Path) -> None:
    """3,000 sequences, each in the one before."""
    path = series(folder)
    data = path.read_bytes()
    at = data.index(b"\x28\x00\x02\x00US")
    deep = b"\x18\x00\x14\x90SQ\0\0" + UNDEFINED + b"\xfe\xff\x00\xe0" + UNDEFINED
    path.write_bytes(data[:at] + deep * 3000 + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * 3000 + data[at:])


@row(13, "error", "META_LENGTH")
def meta_of_no_kind(folder: Path) -> None:
    """Meta information of the kind ZZ, 2 GB by its length."""
    path = series(folder)
    data = path.read_bytes()
    path.write_bytes(data[:144] + b"\x02\x00\x02\x01ZZ\0\0" + struct.pack("<I", 1 << 31) + data[144:])


@row(13, "error", "META_LENGTH")
def meta_too_long(folder: Path) -> None:
    """Meta information of the kind OB, 2 GB by its length."""
    path = series(folder)
    data = path.read_bytes()
    path.write_bytes(data[:144] + b"\x02\x00\x02\x01OB\0\0" + struct.pack("<I", 1 << 31) + data[144:])


@row(22, "quarantine", "PREAMBLE_EXECUTABLE")
def program(folder: Path) -> None:
    """A preamble that is the head of a Windows program."""
    path = series(folder)
    path.write_bytes(b"MZ\x90\0\x03" + path.read_bytes()[5:])


@row(23, "quarantine", "UID_INVALID")
def uid_is_a_path(folder: Path) -> None:
    """A SOP Instance UID that climbs out of a folder."""
    all_slices = slices(ARRAY, AFFINE)
    all_slices[2].SOPInstanceUID = "../../../../tmp/owned"
    save(all_slices, folder)


@row(23, "ok")
def patient_is_a_path(folder: Path) -> None:
    """A Patient ID that climbs out of a folder: no path is made of it."""
    all_slices = slices(ARRAY, AFFINE)
    for ds in all_slices:
        ds.PatientID = "../../../../etc/cron.d"
    save(all_slices, folder)


@row(66, "ok")
def dicomdir(folder: Path) -> Path:
    """A DICOMDIR whose files lie outside of its disc: what it lists is never opened."""
    disc = folder / "disc"
    save(slices(ARRAY, AFFINE), disc)
    outside: list[Dataset] = slices(ARRAY, AFFINE)
    for ds in outside:
        ds.SeriesInstanceUID = "2.25.1"
    save(outside, folder / "outside")
    listing = FileSet()
    for path in sorted((folder / "outside").iterdir()):
        listing.add(path)
    listing.write(folder / "listed")
    data = (folder / "listed" / "DICOMDIR").read_bytes()
    (disc / "DICOMDIR").write_bytes(data.replace(b"PT000000", b"..\\outsi"))
    return disc
