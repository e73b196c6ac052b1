"""62 identifiers in one ultrasound film, and the search for them in all that was written."""

import base64
import binascii
import gzip
import re
import zlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from support.synthetic_dicom import film

COLUMNS, ROWS, FRAMES = 160, 120, 5
REGION = (20, 30, 139, 99, 0.02, 0.02)  # x0, y0, x1, y1, ΔX, ΔY
FILE_NAME, FOLDER = "ZQFILEXV^JANE.dcm", "ZQFOLDERXV"

TEXT = {  # in the data set itself, one VR after another
    "PatientName": "ZQ01NAME^JANE", "PatientID": "ZQ02ID", "PatientAddress": "ZQ03ADDRESS",
    "PatientComments": "ZQ04COMMENT", "OtherPatientNames": "ZQ05OTHER", "InstitutionName": "ZQ06HOSPITAL",
    "InstitutionAddress": "ZQ07STREET", "StationName": "ZQ08STATION", "ReferringPhysicianName": "ZQ09DOCTOR",
    "OperatorsName": "ZQ10OPERATOR", "StudyDescription": "ZQ11STUDY", "SeriesDescription": "ZQ12SERIES",
    "ProtocolName": "ZQ13PROTOCOL", "AccessionNumber": "ZQ14ACCESS", "StudyID": "ZQ15STUDYID",
    "DeviceSerialNumber": "ZQ16SERIAL", "SoftwareVersions": "ZQ17SOFTWARE", "ManufacturerModelName": "ZQ18MODEL",
    "Manufacturer": "GE ZQ19MAKER", "ImageComments": "ZQ20IMAGE", "RetrieveAETitle": "ZQ21AETITLE",
    "RetrieveURL": "https://zq22.example/JANE", "BodyPartExamined": "ZQ23PART", "TextValue": "ZQ24TEXT",
    "LongCodeValue": "ZQ25CODE", "PatientBirthDate": "19531107", "PatientAge": "093Y", "StudyDate": "20191224",
    "StudyTime": "031417.271828", "AcquisitionDateTime": "20191223161803.141592", "PatientWeight": "83.471108",
    "ImagesInAcquisition": "947110815", "StudyInstanceUID": "1.2.826.0.1.4711.1001",
    "SeriesInstanceUID": "1.2.826.0.1.4711.1002", "SOPInstanceUID": "1.2.826.0.1.4711.1003",
    "FrameOfReferenceUID": "1.2.826.0.1.4711.1004",
}  # fmt: skip
BINARY = {  # in a private block: every VR that holds no text; the identifier is the bytes
    "FL": "ZQ37FLxx", "FD": "ZQ38FDxx", "SL": "ZQ39SLxx", "SS": "ZQ40SSxx", "UL": "ZQ41ULxx", "US": "ZQ42USxx",
    "SV": "ZQ43SVxx", "UV": "ZQ44UVxx", "AT": "ZQ45ATxx", "OB": "ZQ46OBxx", "OW": "ZQ47OWxx", "OF": "ZQ48OFxx",
    "OD": "ZQ49ODxx", "OL": "ZQ50OLxx", "OV": "ZQ51OVxx", "UN": "ZQ52UNxx",
}  # fmt: skip
_TYPES = {"FL": "<f4", "FD": "<f8", "SL": "<i4", "SS": "<i2", "UL": "<u4", "US": "<u2", "SV": "<i8", "UV": "<u8"}
PLACES = {
    "nested": "ZQ53NESTED", "private": "ZQ54PRIVATE", "private, nested": "ZQ55DEEP", "curve": "ZQ56CURVE",
    "overlay": "ZQ57OVERLAY", "icon": "ZQ58ICON", "padding": "ZQ59PADDING", "preamble": "ZQ60PREAMBLE",
    "meta": "ZQ61META", "name": "ZQFILEXV",
}  # fmt: skip
IDENTIFIERS = [*TEXT.values(), *BINARY.values(), *PLACES.values()]
NIFTI = {"descrip": "ZQN1DESCRIP", "aux_file": "ZQN2AUX", "intent_name": "ZQN3INTENT", "db_name": "ZQN4DB"}


def planted(seed=0):
    """A film (RGB) of moving noise within its region, and an identifier everywhere else."""
    noise = np.random.default_rng(seed).integers(0, 60, (FRAMES, ROWS, COLUMNS)).astype(np.uint8)
    return into(film(noise, [REGION]))


def into(ds):
    """Plant every identifier in a data set."""
    ds.is_implicit = False
    for keyword, value in TEXT.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.ImageType = ["ORIGINAL", "PRIMARY", PLACES["name"]]
    block = ds.private_block(0x0011, "ZQ54PRIVATE CREATOR", create=True)
    block.add_new(1, "LO", PLACES["private"])
    for number, (vr, token) in enumerate(BINARY.items(), start=2):
        block.add_new(number, vr, _value(vr, token.encode()))
    inner, deep = Dataset(), Dataset()
    inner.RequestedProcedureDescription, deep.PersonName = PLACES["nested"], PLACES["nested"]
    inner.ReferencedStudySequence = Sequence([deep])
    ds.RequestAttributesSequence = Sequence([inner])
    hidden = Dataset()
    hidden.private_block(0x0013, "ZQ55DEEP", create=True).add_new(1, "UT", PLACES["private, nested"])
    block.add_new(0x50, "SQ", Sequence([hidden]))
    for region in ds.get("SequenceOfUltrasoundRegions") or ():
        region.private_block(0x0013, "ZQ55DEEP", create=True).add_new(1, "LO", PLACES["private, nested"])
        region.PatientName = PLACES["nested"]
    ds.add_new(0x50003000, "OW", _even(PLACES["curve"]))
    ds.add_new(0x60001500, "LO", PLACES["overlay"])
    ds.add_new(0x60003000, "OW", _even(PLACES["overlay"]))
    icon = Dataset()
    icon.Rows, icon.Columns, icon.PixelData = 4, 4, _even(PLACES["icon"])
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = Sequence([icon])
    ds.add_new(0xFFFCFFFC, "OB", _even(PLACES["padding"]))
    ds.PixelData += _even(PLACES["padding"])
    ds.preamble = PLACES["preamble"].encode().ljust(128, b"\0")
    ds.file_meta.SourceApplicationEntityTitle = PLACES["meta"]
    ds.file_meta.PrivateInformationCreatorUID = "1.2.826.0.1.4711.1005"
    ds.file_meta.PrivateInformation = _even(PLACES["meta"])
    return ds


def plant(folder: Path) -> Path:
    """Write the film below `folder`, in a folder and under a file name that name people as well."""
    path = folder / FOLDER / FILE_NAME
    path.parent.mkdir(parents=True)
    pydicom.dcmwrite(path, planted(), enforce_file_format=True)
    return path


def survivors(*roots: Path, tokens=tuple(IDENTIFIERS), said: str = "") -> set[str]:
    """The identifiers that are found in names or bytes of anything below `roots`, or in `said`.

    Looked for as they are, in UTF-16 of both orders, without regard to case, and in whatever a file's bytes turn into
    when they are inflated or, where they look like it, decoded from base 64.
    """
    found = _in(said.encode(), tokens)
    for root in roots:
        for path in [root, *root.rglob("*")] if root.is_dir() else [root]:
            found |= _in(str(path.relative_to(root)).encode(), tokens)
            if path.is_file():
                for data in _readings(path.read_bytes()):
                    found |= _in(data, tokens)
    return found


def _in(data: bytes, tokens) -> set[str]:
    data = data.upper()
    wanted = {token: token.upper() for token in tokens}
    return {
        token
        for token, text in wanted.items()
        if any(text.encode(c) in data for c in ("ascii", "utf-16-le", "utf-16-be"))
    }


def _readings(data: bytes, depth: int = 2):
    yield data
    if depth == 0:
        return
    for match in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", data):
        kind = 31 if match.group()[0] == 0x1F else 15
        try:
            yield from _readings(zlib.decompressobj(kind).decompress(data[match.start() :]), depth - 1)
        except zlib.error:
            continue
    for run in re.findall(rb"[A-Za-z0-9+/_-]{16,}={0,2}", data):
        try:
            yield base64.urlsafe_b64decode(run.replace(b"+", b"-").replace(b"/", b"_") + b"=" * (-len(run) % 4))
        except binascii.Error:
            continue


def _even(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def _value(vr: str, data: bytes):
    if vr in _TYPES:
        return np.frombuffer(data, _TYPES[vr]).tolist()
    if vr == "AT":
        return [
            int.from_bytes(data[n + 2 : n + 4], "little") | int.from_bytes(data[n : n + 2], "little") << 16
            for n in (0, 4)
        ]
    return data


def planted_nifti(path: Path, voxels=None, affine=None) -> list[str]:
    """Write a NIfTI with an identifier in every text field, in an extension and behind the voxels; returns them.

    affine: index → RAS+ mm.
    """
    import nibabel as nib

    if voxels is None:
        voxels = np.random.default_rng(0).integers(0, 999, (6, 5, 4)).astype(np.int16)
    image = nib.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0]) if affine is None else affine)
    image.header["descrip"], image.header["aux_file"] = NIFTI["descrip"], NIFTI["aux_file"]
    image.header["intent_name"], image.header["db_name"] = NIFTI["intent_name"], NIFTI["db_name"]
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"ZQN5EXTENSION"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes() + b"ZQN6BEHIND"))
    return [*NIFTI.values(), "ZQN5EXTENSION", "ZQN6BEHIND"]
