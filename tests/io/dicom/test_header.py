"""Header: what is read where the pre-scan says it lies is what a parser makes of the whole file."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_files
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

from support.synthetic_dicom import enhanced, film, oblique, save, slices, texture
from xmed.errors import XmedError
from xmed.io import read_series
from xmed.io.dicom import header as room
from xmed.io.dicom.header import Header
from xmed.io.dicom.instance import read_instance
from xmed.io.dicom.pixels import _native_values
from xmed.io.dicom.prescan import prescan

ARRAY, AFFINE = texture((12, 9, 7)), oblique()


def laid_out(path):
    """The header of a file by its layout, and the same file parsed; None where a parser has to decide."""
    data = path.read_bytes()
    try:
        layout = prescan(data, "x")
    except XmedError:
        return None
    return (Header(data=data, layout=layout), Header(pydicom.dcmread(path))) if layout else None


def plain(value):
    several = isinstance(value, MultiValue | tuple | list)
    return [plain(one) for one in value] if several else float(value) if isinstance(value, float) else value


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Everything that comes with pydicom, and what our own scanners write, explicit and implicit."""
    folder = tmp_path_factory.mktemp("scanned")
    save([*slices(ARRAY, AFFINE)[:2], enhanced(ARRAY, AFFINE), film(ARRAY.T.astype(np.uint8))], folder)
    implicit = slices(ARRAY, AFFINE)[0]
    implicit.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    save([implicit], folder, ["implicit.dcm"])
    return [*map(Path, get_testdata_files("*")), *folder.iterdir()]


def test_every_attribute_is_what_a_parser_says_it_is(files):
    compared = 0
    for path in files:
        if path.is_file() and (found := laid_out(path)):
            laid, parsed = found
            for keyword in parsed.dataset.dir():
                tag = tag_for_keyword(keyword)  # none for what repeats, group after group
                if tag and keyword != "PixelData" and parsed.dataset[tag].VR != "SQ":
                    mine, theirs = plain(laid.get(keyword)), plain(parsed.get(keyword))
                    assert mine == theirs or mine != mine, f"{path.name}: {keyword}"
                    compared += 1
            assert (laid.pixel_length, bytes(laid.pixels)) == (parsed.pixel_length, bytes(parsed.pixels))
            assert laid.syntax == parsed.syntax
    assert compared > 600


def test_pixels_as_they_lie_are_what_a_decoder_says_they_are(files):
    compared = 0
    for path in files:
        if path.is_file() and (found := laid_out(path)):
            laid, parsed = found
            try:
                stored = _native_values(laid)
            except KeyError:  # what an incomplete pixel module is refused for, before anything asks for its pixels
                continue
            if stored is not None:
                assert np.array_equal(stored, parsed.dataset.pixel_array.reshape(stored.shape)), path.name
                compared += 1
    assert compared > 6


def test_no_slice_of_a_plain_series_is_parsed_beyond_what_is_asked_of_it(tmp_path, monkeypatch):
    save(slices(ARRAY, AFFINE), tmp_path)

    def never(*_, **__):
        raise AssertionError("a header was parsed from end to end")

    monkeypatch.setattr(room.pydicom, "dcmread", never)
    assert np.array_equal(read_series(tmp_path).array, ARRAY)


def test_what_slices_have_in_common_is_converted_once(tmp_path):
    save(slices(ARRAY, AFFINE), tmp_path)
    one, other = (read_instance(path).header for path in sorted(tmp_path.iterdir())[:2])
    assert one.get("ImageOrientationPatient") is other.get("ImageOrientationPatient")
    assert one.get("ImagePositionPatient") != other.get("ImagePositionPatient")


def test_what_stands_behind_the_pixels_is_left_to_a_parser(tmp_path):
    ds = slices(ARRAY, AFFINE)[0]
    ds.add_new(0xFFFCFFFC, "OB", b"\0" * 16)
    assert laid_out(save([ds], tmp_path) / "000.dcm") is None
    assert read_instance(tmp_path / "000.dcm").pixel_length == ds.Rows * ds.Columns * 2
