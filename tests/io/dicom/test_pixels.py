"""Pixels: modality values come out as the header describes them, and a header that lies is caught before allocation."""

import tracemalloc

import numpy as np
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    UltrasoundImageStorage,
)

from support.synthetic_dicom import image, oblique, refusal, save, slices, texture
from xmed.io import read_series
from xmed.io.dicom.instance import read_instance
from xmed.io.dicom.pixels import LUMA, modality_values

STORED = texture((48, 64)).astype(np.int16)


@pytest.fixture
def values(tmp_path):
    """The modality values (rows, columns) of a CT picture whose header was changed by keyword."""

    def read(stored=STORED, modality="CT", **changes):
        ds = image(stored, CTImageStorage, modality)
        for keyword, value in changes.items():
            if isinstance(value, DataElement):
                ds.add(value)
            else:
                setattr(ds, keyword, value)
        return modality_values(read_instance(save([ds], tmp_path) / "000.dcm"))[0]

    return read


def test_slope_and_intercept_are_applied(values):
    np.testing.assert_allclose(values(RescaleSlope=0.5, RescaleIntercept=-1024), STORED * 0.5 - 1024)


@pytest.mark.parametrize(
    ("dtype", "stored", "intercept", "kept"),
    [
        (np.uint16, 4000, 0, "uint16"),
        (np.uint16, 4000, -1024, "int16"),
        (np.int16, -1000, -24, "int16"),
        (np.uint16, 65000, -40000, "int16"),  # neither term has room there, the sum has
        (np.uint16, 65000, -1024, "float32"),
        (np.int16, -32000, -1024, "float32"),
        (np.uint16, 4000, 0.5, "float32"),
    ],
)
def test_where_nothing_but_a_whole_number_is_added_values_stay_whole(values, dtype, stored, intercept, kept):
    given = np.array([[stored, stored - 1], [stored, stored]], dtype)
    found = values(given, RescaleSlope=1, RescaleIntercept=intercept)
    assert found.dtype == kept
    assert np.array_equal(found.astype(np.float64), given.astype(np.float64) + intercept)


def test_slices_that_need_different_types_get_one_that_holds_them_all(tmp_path):
    array = texture((12, 9, 7))
    series = slices(array, oblique(), modality="CT")
    for k, ds in enumerate(series):
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024 if k % 2 else 0
    found = read_series(save(series[:6], tmp_path / "whole")).array
    assert found.dtype == np.int32
    assert np.array_equal(found, array[..., :6].astype(int) - 1024 * (np.arange(6) % 2))
    series[6].RescaleSlope = 0.5
    mixed = read_series(save(series, tmp_path / "mixed")).array
    assert mixed.dtype == np.float32
    assert np.array_equal(mixed[..., :6], found)


def test_every_slice_has_its_own_rescale(tmp_path):
    array = texture((12, 9, 7))
    series = slices(array, oblique(), modality="PT")
    for k, ds in enumerate(series):
        ds.RescaleSlope, ds.RescaleIntercept = 0.1 * (k + 1), 0
    expected = array * 0.1 * np.arange(1, 8)
    np.testing.assert_allclose(read_series(save(series, tmp_path)).array, expected, rtol=1e-6)


def test_a_modality_table_is_looked_up(values):
    table = Dataset()
    table.LUTDescriptor, table.LUTData, table.ModalityLUTType = (
        [4096, 0, 16],
        np.arange(8192, 12288, dtype=np.uint16).tobytes(),
        "US",
    )
    np.testing.assert_array_equal(values(STORED.astype(np.uint16), ModalityLUTSequence=[table]), STORED + 8192)


def test_monochrome1_is_inverted_within_its_stored_range(values):
    stored = STORED.astype(np.uint16)
    inverted = values(stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(inverted, 4095 - stored)
    np.testing.assert_array_equal(values(PhotometricInterpretation="MONOCHROME1", PixelRepresentation=1), -1 - STORED)


def test_twelve_signed_bits_need_no_sign_extension(values):
    stored = np.array([[0x0FFF, 0x0800], [0x07FF, 0x0001]], np.uint16)
    found = values(stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(found, [[-1, -2048], [2047, 1]])


def test_padding_becomes_the_lowest_real_value(tmp_path):
    array = texture((12, 9, 7)).astype(np.int16)
    array[0, :, :] = -2000
    array[1, 0, 0] = -1990
    series = slices(array, oblique(), modality="CT")
    for ds in series:
        ds.PixelRepresentation, ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = 1, -2000, -1985
    volume = read_series(save(series, tmp_path))
    lowest = array[array > -1985].min()
    assert volume.array.min() == lowest
    assert (volume.array[0] == lowest).all()
    assert volume.array[1, 0, 0] == lowest
    np.testing.assert_array_equal(volume.array[2:], array[2:])


def test_a_padding_value_written_unsigned_means_the_signed_one(values):
    stored = STORED.copy()
    stored[0] = -2000
    found = values(
        stored, PixelRepresentation=1, PixelPaddingValue=DataElement("PixelPaddingValue", "US", 65536 - 2000)
    )
    assert np.isnan(found[0]).all()
    assert np.array_equal(found[1:], stored[1:])


def test_an_image_of_padding_alone_has_no_content(tmp_path):
    series = slices(texture((12, 9, 7)) * 0 + 7, oblique())
    for ds in series:
        ds.PixelPaddingValue = 7
    with refusal("CONSTANT", "padding"):
        read_series(save(series, tmp_path))


@pytest.mark.parametrize(
    ("slope", "intercept"), [(0, 0), ("NaN", 0), (1, "Infinity")], ids=["slope 0", "slope NaN", "intercept infinite"]
)
def test_a_rescale_that_destroys_values_is_refused(values, slope, intercept):
    with refusal("RESCALE_INVALID", "slope"):
        values(RescaleSlope=slope, RescaleIntercept=intercept)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_the_transfer_syntax_makes_no_difference(tmp_path, syntax):
    ds = image(STORED, CTImageStorage, "CT")
    if syntax.is_encapsulated:
        ds.compress(syntax, generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(modality_values(read_instance(save([ds], tmp_path) / "000.dcm"))[0], STORED)


def test_colour_is_grey_in_ultrasound_and_refused_elsewhere(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    ds = image(colours[..., 0], UltrasoundImageStorage, "US")
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.PixelData = colours.tobytes()
    found = modality_values(read_instance(save([ds], tmp_path) / "000.dcm"))[0]
    np.testing.assert_allclose(found, colours @ np.array(LUMA), rtol=1e-6)
    ds.Modality = "MR"
    with refusal("DTYPE", "colour"):
        modality_values(read_instance(save([ds], tmp_path) / "000.dcm"))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SIZE_CLAIM", {"Rows": 65535, "Columns": 65535}),
        ("SIZE_CLAIM", {"NumberOfFrames": 2**31 - 1}),
        ("SIZE_CLAIM", {"NumberOfFrames": 2}),
        ("PIXEL_MODULE", {"Rows": 0}),
        ("PIXEL_MODULE", {"Rows": 40}),
        ("PIXEL_MODULE", {"BitsAllocated": 12}),
        ("PIXEL_MODULE", {"BitsStored": 17}),
        ("PIXEL_MODULE", {"PhotometricInterpretation": ""}),
    ],
)
def test_a_header_that_does_not_fit_its_bytes_is_refused(values, code, changes):
    tracemalloc.start()
    with refusal(code):
        values(**changes)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_a_transfer_syntax_that_lies_is_refused(tmp_path):
    ds = image(STORED, CTImageStorage, "CT")
    ds.PixelData = encapsulate([b"no codestream at all"])
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    path = save([ds], tmp_path) / "000.dcm"
    with refusal("TSUID_MISMATCH", "does not decode as JPEG 2000"):
        modality_values(read_instance(path))
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1\0\0\0"))
    with refusal("TSUID_MISMATCH", "its pixels are encapsulated"):
        modality_values(read_instance(path))


def test_big_endian_pixels_are_read(tmp_path):
    import pydicom

    path = pydicom.data.get_testdata_file("MR_small_bigendian.dcm")
    twin = pydicom.data.get_testdata_file("MR_small.dcm")
    assert read_instance(path).dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    np.testing.assert_array_equal(modality_values(read_instance(path)), modality_values(read_instance(twin)))
