"""Instance: any bytes at all end in a dataset or in a coded refusal, quickly and without large allocations."""

import random
import struct
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian

from support.synthetic_dicom import enhanced, film, image, oblique, refusal, save, slices, texture
from xmed.errors import XmedError
from xmed.io import read_series
from xmed.io.dicom.instance import read_instance, read_instances

ARRAY, AFFINE = texture((12, 9, 7)), oblique()


@pytest.fixture
def whole(tmp_path):
    return save(slices(ARRAY, AFFINE)[:1], tmp_path) / "000.dcm"


def test_a_file_without_preamble_is_read(whole):
    data = whole.read_bytes()
    dataset = 144 + int.from_bytes(data[140:144], "little")
    for start in (132, dataset):  # without the 128 bytes and DICM, and without the meta information, too
        whole.write_bytes(data[start:])
        assert np.array_equal(read_series(whole).array[:, :, 0], ARRAY[:, :, 0])


def test_pixels_cut_short_are_truncation_and_lengths_beyond_reason_are_claims(whole):
    data = whole.read_bytes()
    whole.write_bytes(data[:-50])
    with refusal("DICOM_TRUNCATED", "holds 166 of 216 bytes"):
        read_series(whole)
    at = data.index(b"\xe0\x7f\x10\x00OW") + 8
    whole.write_bytes(data[:at] + struct.pack("<I", 0xFFFFFFFE) + data[at + 4 :])
    with refusal("SIZE_CLAIM", "4294967294"):
        read_series(whole)


def test_a_deflated_bomb_is_not_inflated(tmp_path, monkeypatch):
    ds = image(np.zeros((2000, 2000), np.uint16), CTImageStorage, "CT")
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save([ds], tmp_path) / "000.dcm"
    assert read_instance(path).pixel_length == 8_000_000
    monkeypatch.setattr("xmed.io.file_kinds.MAX_INFLATED", 1 << 20)
    with refusal("INFLATE_LIMIT", "1 MiB"):
        read_instance(path)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    assert len(zlib.decompress(whole[start:], -zlib.MAX_WBITS)) > 8_000_000


def test_only_pictures_of_patients_are_images():
    kinds = {
        "rtplan.dcm": False,
        "rtdose.dcm": False,
        "liver_1frame.dcm": False,
        "test-SR.dcm": False,
        "CT_small.dcm": True,
    }
    for name, picture in kinds.items():
        assert read_instance(pydicom.data.get_testdata_file(name)).is_image == picture


def test_a_dicomdir_is_passed_over(tmp_path):
    directory = pydicom.data.get_testdata_file("DICOMDIR")
    assert read_instances([read_instance(directory).path]) == []


@pytest.mark.parametrize(
    "write", [lambda: enhanced(ARRAY, AFFINE), lambda: film(texture((5, 30, 40)).astype(np.uint8))], ids=["MR", "US"]
)
def test_whatever_happens_to_the_bytes_the_answer_is_a_volume_or_a_code(tmp_path, write):
    path = save([write()], tmp_path) / "000.dcm"
    data, chance = path.read_bytes(), random.Random(0)
    cases = [data[:end] for end in range(0, len(data), 256)]
    for _ in range(80):
        broken = bytearray(data)
        for _ in range(chance.choice([1, 3, 8])):
            broken[chance.randrange(min(len(broken), 3000))] = chance.randrange(256)
        cases.append(bytes(broken))
    codes = set()
    for case in cases:
        path.write_bytes(case)
        try:
            read_series(path)
        except XmedError as problem:
            codes.add(problem.code)
    assert {"EMPTY_FILE", "NOT_DICOM", "DICOM_TRUNCATED"} <= codes
