"""Prescan: a DICOM file whose structure lies is refused before a parser allocates what it claims."""

import struct
from pathlib import Path

import pytest
from pydicom.data import get_testdata_files

from support.corpus.dicom import AFFINE, ARRAY, UNDEFINED, meta_end
from support.synthetic_dicom import enhanced, refusal, save, slices
from xmed.errors import XmedError
from xmed.io.dicom.instance import read_instance
from xmed.io.dicom.prescan import MAX_DEPTH, check_uids, prescan
from xmed.io.file_kinds import file_kind


@pytest.fixture
def whole(tmp_path):
    return (save(slices(ARRAY, AFFINE)[:1], tmp_path) / "000.dcm").read_bytes()


@pytest.mark.parametrize(
    "head",
    [b"MZ", b"\x7fELF", b"#!/bin/sh", b"PK\x03\x04", b"\xfe\xed\xfa\xce", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"],
)
def test_a_preamble_that_could_be_run_is_refused(whole, head):
    with refusal("PREAMBLE_EXECUTABLE"):
        prescan(head + whole[len(head) :], "x")


@pytest.mark.parametrize("head", [b"II*\0", b"MM\0*", b"scanner"])
def test_any_other_preamble_is_the_writers_own(whole, head):
    prescan(head + whole[len(head) :], "x")


@pytest.mark.parametrize("depth", [1, MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("defined", [False, True])
def test_sequences_may_be_nested_so_deep_and_no_deeper(whole, depth, defined):
    deep = b""
    for _ in range(depth):
        if defined:
            item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(deep)) + deep
            deep = b"\x18\x00\x14\x90SQ\0\0" + struct.pack("<I", len(item)) + item
        else:
            item = b"\xfe\xff\x00\xe0" + UNDEFINED + deep + b"\xfe\xff\x0d\xe0\0\0\0\0"
            deep = b"\x18\x00\x14\x90SQ\0\0" + UNDEFINED + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    at = whole.index(b"\x28\x00\x02\x00US")
    data = whole[:at] + deep + whole[at:]
    if depth <= MAX_DEPTH:
        prescan(data, "x")
    else:
        with refusal("NESTING", "64"):
            prescan(data, "x")


def test_a_value_cut_short_is_truncation_and_one_that_no_such_file_holds_is_a_claim(whole):
    at = whole.index(b"\x10\x00\x10\x00PN")
    with refusal("DICOM_TRUNCATED"):
        prescan(whole[: at + 10], "x")
    private = b"\x09\x00\x01\x10OB\0\0" + struct.pack("<I", 3 << 30)
    with refusal("SIZE_CLAIM", "3221225472"):
        prescan(whole[:at] + private + whole[at:], "x")


def test_every_cut_is_called_a_cut_or_left_to_the_parser(whole):
    codes = set()
    for end in range(1, len(whole)):
        try:
            prescan(whole[:end], "x")
        except XmedError as problem:
            codes.add(problem.code)
    assert codes == {"DICOM_TRUNCATED"}


def test_a_cut_within_the_meta_information_is_truncation(whole):
    for end in (140, 150, meta_end(whole) - 3):
        with refusal("DICOM_TRUNCATED"):
            prescan(whole[:end], "x")


def test_frames_of_an_enhanced_image_are_walked(tmp_path):
    prescan((save([enhanced(ARRAY, AFFINE)], tmp_path) / "000.dcm").read_bytes(), "x")


DICOM = [path for path in get_testdata_files("*.dcm") if file_kind(Path(path)) == "dicom"]
LIARS = {"SC_rgb_jpeg.dcm": "TSUID_MISMATCH", "rtplan_truncated.dcm": "DICOM_TRUNCATED"}


@pytest.mark.parametrize("path", DICOM, ids=lambda path: Path(path).name)
def test_the_files_of_pydicom_pass_unless_they_lie(path):
    name, data = Path(path).name, Path(path).read_bytes()
    if name in LIARS:
        with refusal(LIARS[name]):
            prescan(data, name)
    else:
        prescan(data, name)


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.840/3", "1..2", "1.2.", "x", "1." * 40 + "1", "1.2\n"])
def test_an_identifier_of_other_signs_is_refused_and_not_quoted(uid):
    with refusal("UID_INVALID") as caught:
        check_uids([uid], "file")
    assert "/" not in str(caught.value)


def test_identifiers_that_are_missing_or_good_pass(whole, tmp_path):
    check_uids(["", "1.2.840.10008.1.2", "2.25.329800735698586629295641978511506172918", "1." * 31 + "1"], "x")
    (tmp_path / "x.dcm").write_bytes(whole)
    assert read_instance(tmp_path / "x.dcm").uid
