"""A7: structure decides, words only hint, and a refusal says what is there."""

import gzip
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from support.numbered_slices import item, marks, numbered, shown, stack, tried
from support.synthetic_dicom import enhanced, oblique, save, slices, texture
from xmed.errors import XmedError
from xmed.io import inspect, read_series, read_volumes
from xmed.io.notes import collect_notes

ARRAY, AFFINE = texture((12, 9, 5)), oblique()
SIX = 2.0 * np.arange(6)
MOSAIC = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]


def with_frame_type(ds, words):
    ds.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence = [item(FrameType=words)]
    return ds


@pytest.mark.parametrize("where", ["ImageType", "FrameType", "both"])
@pytest.mark.parametrize("word", ["MOSAIC", "LOCALIZER", "DERIVED", "PROJECTION IMAGE"])
def test_words_of_a_multi_frame_image_do_not_change_what_it_is(tmp_path, word, where):
    ds = enhanced(ARRAY, AFFINE)
    words = ["ORIGINAL", "PRIMARY", "M", word]
    if where != "FrameType":
        ds.ImageType = words
    if where != "ImageType":
        with_frame_type(ds, words)
    volume = read_series(save([ds], tmp_path))
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)


def test_a_word_in_some_of_the_frames_does_not_drop_them(tmp_path):
    ds = enhanced(ARRAY, AFFINE)
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        kind = "LOCALIZER" if n == 4 else "NONE"
        frame.MRImageFrameTypeSequence = [item(FrameType=["ORIGINAL", "PRIMARY", kind])]
    np.testing.assert_array_equal(read_series(save([ds], tmp_path)).array, ARRAY)


@pytest.mark.parametrize("which", [[0], [5], [2, 3], list(range(6))])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_slices_of_a_stack_stay_in_it_whatever_they_call_themselves(tmp_path, modality, which):
    datasets = numbered(stack(SIX, 1, modality))
    for n in which:
        datasets[n].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    assert tried(datasets, tmp_path)[0] == [shown(1, 6)]


@pytest.mark.parametrize(
    "words",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "PROJECTION IMAGE"]},
        {"SeriesDescription": "LOCALIZER scout MOSAIC"},
        {"SeriesDescription": "REPORT"},
        {"ImageType": ""},
        {"ImageType": MOSAIC, "Manufacturer": "GE MEDICAL SYSTEMS"},
        {"ImageType": MOSAIC, "Manufacturer": ""},
    ],
    ids=str,
)
def test_a_regular_stack_is_one_whatever_its_words(tmp_path, words):
    assert tried(numbered(stack(SIX, 1, "MR", **words)), tmp_path)[0] == [shown(1, 6)]


def test_a_scout_across_the_slices_is_left_out_and_that_is_on_record(tmp_path):
    scout = stack([3.0], 9)[0]
    scout.ImageOrientationPatient, scout.ImageType = [1, 0, 0, 0, 0, -1], ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    found, notes = tried([scout, *stack(SIX, 1)], tmp_path)
    assert (found, notes) == ([shown(1, 6)], {"LOCALIZER"})


def test_a_scout_between_the_slices_is_left_out_and_that_is_on_record(tmp_path):
    scout = stack([3.3], 9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[0]
    found, notes = tried([scout, *stack(SIX, 1)], tmp_path)
    assert (found, notes) == ([shown(1, 6)], {"LOCALIZER"})


REAL = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / "siemens_dwi_0.dcm.gz"
SQUARE = texture((896, 896))


def real(**values):
    """A real mosaic of 48 slices; its pixels are ours."""
    ds = pydicom.dcmread(BytesIO(gzip.decompress(REAL.read_bytes())))
    ds.PixelData = SQUARE.tobytes()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("words", [["ORIGINAL", "PRIMARY", "M", "ND"], ["DERIVED", "SECONDARY"], ""])
def test_a_mosaic_that_lost_its_word_is_still_one(tmp_path, words):
    ds = real(ImageType=words)
    try:
        volume = read_series(save([ds], tmp_path))
    except XmedError as problem:
        assert "mosaic" in str(problem)  # noqa: PT017
    else:
        assert volume.array.shape == (128, 128, 48)
        np.testing.assert_array_equal(volume.array[:, :, 0].T, SQUARE[:128, :128])


def test_a_mosaic_without_a_csa_header_is_called_one(tmp_path):
    ds = real()
    ds.remove_private_tags()
    save([ds], tmp_path)
    with pytest.raises(XmedError, match="mosaic"):
        read_series(tmp_path)
    (found,) = inspect(tmp_path)
    assert found.verdict == "refused"
    assert "mosaic" in found.message


def test_a_mosaic_without_word_and_csa_header_is_not_read_as_a_slice(tmp_path):
    """Its Acquisition Matrix is that of a tile (0018,1310)."""
    ds = real(ImageType=["ORIGINAL", "PRIMARY", "M"])
    ds.remove_private_tags()
    assert [n for n in ds.AcquisitionMatrix if n] == [128, 128]
    with collect_notes() as notes:
        try:
            read_series(save([ds], tmp_path))
        except XmedError as problem:
            assert "mosaic" in str(problem)  # noqa: PT017
        else:
            assert notes


@pytest.mark.parametrize(
    ("sop_class", "said", "true"),
    [
        (CTImageStorage, "OT", "CT"),
        (CTImageStorage, "MR", "CT"),
        (MRImageStorage, "CT", "MR"),
        (MRImageStorage, "", "MR"),
        (PositronEmissionTomographyImageStorage, "OT", "PT"),
        (SecondaryCaptureImageStorage, "CT", "CT"),
        (EnhancedCTImageStorage, "MR", "CT"),
    ],
)
def test_the_kind_of_object_says_its_modality(tmp_path, sop_class, said, true):
    datasets = [enhanced(ARRAY, AFFINE)] if sop_class == EnhancedCTImageStorage else slices(ARRAY, AFFINE)
    for ds in datasets:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.Modality = said
    assert read_series(save(datasets, tmp_path)).modality == true


def test_activity_becomes_suv_whatever_the_word_for_the_modality(tmp_path):
    """1,000 Bq/ml, 70 kg, 350 MBq at the scan's start: 1000 · 70000 / 350e6 = 0.2 g/ml."""
    datasets = numbered(stack(SIX, 1, "CT", Units="BQML", CorrectedImage=["ATTN", "DECY"], PatientWeight=70))
    for ds in datasets:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
        ds.Modality, ds.DecayCorrection = "OT", "ADMIN"
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.RadiopharmaceuticalInformationSequence = [item(RadionuclideTotalDose=350e6, RadionuclideHalfLife=6586.2)]
    volume = read_series(save(datasets, tmp_path))
    np.testing.assert_allclose(volume.array[0, 0], np.array(shown(1, 6)) * 70000 / 350e6, rtol=1e-6)


def test_a_mosaic_word_on_one_of_two_volumes_does_not_take_the_other_apart(tmp_path):
    both = stack(SIX, 1, "MR", EchoTime=10) + stack(SIX, 2, "MR", EchoTime=20, ImageType=MOSAIC, Manufacturer="xmed")
    volumes = read_volumes(save(numbered(both), tmp_path))
    assert [marks(volume) for volume in volumes.values()] == [shown(1, 6), shown(2, 6)]


def test_words_in_free_text_do_not_make_a_picture_a_report(tmp_path):
    datasets = numbered(stack(SIX, 1, ProtocolName="SEG RTSTRUCT KO", BodyPartExamined="PDF"))
    for ds in datasets:
        ds.SeriesInstanceUID = generate_uid(entropy_srcs=["words"])
    assert tried(datasets, tmp_path)[0] == [shown(1, 6)]
