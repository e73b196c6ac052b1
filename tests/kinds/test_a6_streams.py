"""A6: colour in DICOM, decoded by what the stream is, whatever its header says of it."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
    UltrasoundImageStorage,
)

from support.synthetic_dicom import film, save
from xmed.errors import XmedError
from xmed.io import read_series
from xmed.io.notes import collect_notes

WEIGHTS = np.array((0.299, 0.587, 0.114))


def speckle():
    grey = np.zeros((96, 128), np.uint8)
    random = np.random.default_rng(0)
    grey[16:80, 24:104] = random.integers(0, 255, (8, 10)).repeat(8, 0).repeat(8, 1)
    return np.repeat(grey[..., None], 3, axis=2)


def doppler():
    """Grey speckle with a box of saturated colours in it."""
    rgb = speckle()
    rgb[32:56, 40:72] = (220, 30, 10)
    rgb[40:48, 48:64] = (20, 40, 230)
    return rgb


PICTURES = {"grey": speckle, "Doppler": doppler}


def jpeg(rgb, *, model="YBR", subsampling=0, marker="JFIF"):
    """A baseline stream of components that are YCbCr or RGB, with the marks of neither, JFIF or Adobe."""
    out = io.BytesIO()
    mode = "RGB" if model == "YBR" else "YCbCr"  # libjpeg passes YCbCr input on as it is: its planes are then R, G, B
    source = Image.fromarray(rgb) if model == "YBR" else Image.frombytes("YCbCr", rgb.shape[1::-1], rgb.tobytes())
    assert source.mode == mode
    source.save(out, "JPEG", quality=97, subsampling=subsampling)
    data = out.getvalue()
    length = int.from_bytes(data[4:6], "big")
    assert data[2:4] == b"\xff\xe0"
    bare = data[:2] + data[4 + length :]
    if marker == "JFIF":
        return data
    if marker.startswith("Adobe"):
        return bare[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([int(marker[-1])]) + bare[2:]
    if marker.startswith("ids "):
        return renumbered(bare, [int(n) for n in marker[4:].split()])
    return bare


def renumbered(data, ids):
    """The same stream with other component identifiers, in its frame and its scan header."""
    out, at = bytearray(data), 2
    while out[at + 1] != 0xDA:
        if out[at + 1] == 0xC0:
            for n, one in enumerate(ids):
                out[at + 10 + 3 * n] = one
        at += 2 + int.from_bytes(out[at + 2 : at + 4], "big")
    for n, one in enumerate(ids):
        out[at + 5 + 2 * n] = one
    return bytes(out)


def picture(folder, photometric, syntax, frames=None, native=None, planar=0, size=(96, 128)):
    ds = film(np.zeros((1, *size), np.uint8))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, photometric, planar
    if frames is not None and len(frames) == 1:
        del ds.NumberOfFrames
    elif frames is not None:
        ds.NumberOfFrames = len(frames)
    else:
        del ds.NumberOfFrames
    ds.PixelData = native if native is not None else encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = native is None
    return save([ds], folder)


def error(folder, rgb):
    """Mean absolute difference, of the first frame, to the luminance of what was encoded."""
    with collect_notes() as notes:
        array = read_series(folder).array[:, :, 0].astype(float)
    return np.abs(array - (rgb @ WEIGHTS).T).mean(), {made.code for made in notes}


@pytest.mark.parametrize("what", PICTURES)
@pytest.mark.parametrize("marker", ["JFIF", "none", "Adobe 1"])
@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
def test_a_stream_of_luma_and_chroma_is_read_as_one(tmp_path, what, marker, photometric):
    rgb = PICTURES[what]()
    folder = picture(tmp_path, photometric, JPEGBaseline8Bit, [jpeg(rgb, marker=marker)])
    away, notes = error(folder, rgb)
    assert away < 3
    assert ("COLOUR_MODEL" in notes) == (photometric == "RGB")


@pytest.mark.parametrize("subsampling", [1, 2])
@pytest.mark.parametrize("marker", ["JFIF", "none", "Adobe 1", "ids 0 1 2"])
def test_a_subsampled_stream_is_one_of_luma_and_chroma(tmp_path, subsampling, marker):
    rgb = doppler()
    folder = picture(tmp_path, "RGB", JPEGBaseline8Bit, [jpeg(rgb, subsampling=subsampling, marker=marker)])
    assert error(folder, rgb)[0] < 5


@pytest.mark.parametrize("what", PICTURES)
@pytest.mark.parametrize("marker", ["none", "Adobe 0", "ids 0 1 2", "ids 82 71 66"])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
def test_a_stream_of_red_green_and_blue_is_read_as_one(tmp_path, what, marker, photometric):
    rgb = PICTURES[what]()
    folder = picture(tmp_path, photometric, JPEGBaseline8Bit, [jpeg(rgb, model="RGB", marker=marker)])
    away, notes = error(folder, rgb)
    assert away < 3
    assert ("COLOUR_MODEL" in notes) == (photometric != "RGB")


def test_every_frame_of_a_film_is_decoded_by_its_own_stream(tmp_path):
    rgb = doppler()
    frames = [jpeg(rgb), jpeg(rgb, model="RGB", marker="Adobe 0"), jpeg(rgb, marker="none")]
    with collect_notes():
        array = read_series(picture(tmp_path, "RGB", JPEGBaseline8Bit, frames)).array
    for n in range(3):
        assert np.abs(array[:, :, n] - (rgb @ WEIGHTS).T).mean() < 3


@pytest.mark.parametrize("what", PICTURES)
@pytest.mark.parametrize("stored", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
def test_native_pixels_left_under_the_name_of_their_former_stream(tmp_path, what, stored, photometric, planar):
    rgb = PICTURES[what]()
    native = rgb if stored == "RGB" else convert_color_space(rgb, "RGB", "YBR_FULL")
    data = (native.transpose(2, 0, 1) if planar else native).tobytes()
    folder = picture(tmp_path, photometric, ExplicitVRLittleEndian, native=data, planar=planar)
    away, notes = error(folder, rgb)
    assert away < 2
    assert ("COLOUR_MODEL" in notes) == (photometric != stored)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("stored", ["RGB", "YBR_FULL"])
def test_run_lengths_left_under_another_name(tmp_path, photometric, stored):
    rgb = speckle()
    native = rgb if stored == "RGB" else convert_color_space(rgb, "RGB", "YBR_FULL")
    ds = pydicom.dcmread(
        next(picture(tmp_path / "native", stored, ExplicitVRLittleEndian, native=native.tobytes()).iterdir())
    )
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.PhotometricInterpretation = photometric
    assert error(save([ds], tmp_path / "packed"), rgb)[0] < 2


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT", "YBR_FULL"])
@pytest.mark.parametrize("what", PICTURES)
def test_jpeg_2000_with_its_own_transform_is_rgb_after_it(tmp_path, photometric, what):
    rgb, out = PICTURES[what](), io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG2000", irreversible=False, mct=1, no_jp2=True)
    folder = picture(tmp_path, photometric, JPEG2000Lossless, [out.getvalue()])
    assert error(folder, rgb)[0] < 1


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT", "YBR_FULL"])
def test_jpeg_2000_of_plain_planes_is_told_by_its_content(tmp_path, photometric):
    rgb, out = speckle(), io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG2000", irreversible=False, mct=0, no_jp2=True)
    assert error(picture(tmp_path, photometric, JPEG2000Lossless, [out.getvalue()]), rgb)[0] < 1


def test_a_colourful_picture_without_a_mark_is_what_its_header_says(tmp_path):
    rgb = np.random.default_rng(3).integers(0, 255, (12, 16, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    for photometric, native in (("RGB", rgb), ("YBR_FULL", convert_color_space(rgb, "RGB", "YBR_FULL"))):
        folder = picture(tmp_path / photometric, photometric, ExplicitVRLittleEndian, native=native.tobytes())
        away, notes = error(folder, rgb)
        assert away < 2
        assert "COLOUR_MODEL" not in notes


@pytest.mark.parametrize(
    ("samples", "photometric"),
    [(3, "MONOCHROME2"), (1, "RGB"), (1, "YBR_FULL"), (4, "CMYK"), (4, "ARGB"), (3, "HSV"), (3, "YBR_PARTIAL_422")],
)
def test_a_colour_model_that_the_pixels_cannot_have_is_refused(tmp_path, samples, photometric):
    ds = film(np.zeros((1, 96, 128), np.uint8))
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = samples, photometric, 0
    ds.PixelData = np.random.default_rng(0).integers(0, 255, 96 * 128 * samples).astype(np.uint8).tobytes()
    with pytest.raises(XmedError) as caught:
        read_series(save([ds], tmp_path))
    assert caught.value.code in ("PIXEL_MODULE", "DTYPE")


def test_a_palette_becomes_the_luminance_of_its_colours(tmp_path):
    indices = np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint8)
    ds = film(indices[None])
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for name, table in zip(("Red", "Green", "Blue"), palette):
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(ds, f"{name}PaletteColorLookupTableData", table.tobytes())
        ds[f"{name}PaletteColorLookupTableData"].VR = "OW"
    away, _ = error(save([ds], tmp_path), palette.T[indices])
    assert away < 1e-3


@pytest.mark.parametrize("bits", [8, 16])
def test_black_and_white_exchanged_are_exchanged_back(tmp_path, bits):
    stored = np.random.default_rng(0).integers(0, 1 << bits, (1, 96, 128)).astype(f"u{bits // 8}")
    ds = film(stored)
    ds.PhotometricInterpretation = "MONOCHROME1"
    with collect_notes():
        array = read_series(save([ds], tmp_path)).array
    np.testing.assert_array_equal(array[:, :, 0], ((1 << bits) - 1 - stored[0].astype(int)).T)


OWN = Path(pydicom.data.__file__).parent / "test_files"
KNOWN = {
    "SC_jpeg_no_color_transform.dcm": "RGB", "SC_jpeg_no_color_transform_2.dcm": "RGB", "SC_rgb_dcmtk_+eb+cr.dcm": "RGB",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm": "YBR", "SC_rgb_dcmtk_+eb+cy+np.dcm": "YBR", "SC_rgb_dcmtk_+eb+cy+s4.dcm": "YBR",
    "SC_rgb_jpeg_dcmtk.dcm": "YBR", "SC_rgb_jpeg_lossy_gdcm.dcm": "YBR", "SC_rgb_jpeg_gdcm.dcm": "RGB",
    "SC_rgb_rle.dcm": "RGB", "examples_ybr_color.dcm": "YBR", "examples_rgb_color.dcm": "RGB", "examples_jpeg2k.dcm": "RGB",
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_pydicoms_own_pictures_read_as_pydicom_reads_them(tmp_path, name):
    if not (OWN / name).is_file():
        pytest.skip("this pydicom came without its test files")
    ds = pydicom.dcmread(OWN / name)
    rgb = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns, 3)
    ds.Modality = "US"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = ds.Columns - 1, ds.Rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.02
    ds.SequenceOfUltrasoundRegions = [region]
    with collect_notes() as notes:
        array = read_series(save([ds], tmp_path)).array
    np.testing.assert_allclose(array, (rgb @ WEIGHTS).transpose(2, 1, 0), atol=2)
    assert "COLOUR_MODEL" not in {made.code for made in notes}


def test_lossless_jpeg_of_red_green_and_blue(tmp_path):
    source = OWN / "SC_rgb_jpeg_gdcm.dcm"
    if not source.is_file():
        pytest.skip("this pydicom came without its test files")
    ds = pydicom.dcmread(source)
    rgb = ds.pixel_array
    [frame] = pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1)
    for photometric in ("RGB", "YBR_FULL"):
        folder = picture(tmp_path / photometric, photometric, JPEGLosslessSV1, [frame], size=(100, 100))
        assert error(folder, rgb)[0] < 1
