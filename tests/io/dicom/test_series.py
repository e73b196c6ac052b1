"""DICOM series: whatever order and encoding the files have, the voxels lie where the scanner measured them."""

import os

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

from support.synthetic_dicom import DATA, FRAME, enhanced, film, image, oblique, refusal, save, slices, texture
from xmed.errors import XmedError
from xmed.io import read_nifti, read_series
from xmed.io.notes import collect_notes

ARRAY, AFFINE = texture((12, 9, 7)), oblique()


@pytest.fixture
def series():
    return slices(ARRAY, AFFINE)


def test_an_oblique_anisotropic_series_comes_back_voxel_by_voxel(series, tmp_path):
    volume = read_series(save(series, tmp_path))
    assert np.array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-8)
    np.testing.assert_allclose(volume.spacing, (0.7, 1.3, 3.1), atol=1e-8)
    assert (volume.modality, volume.frame, volume.fov) == ("MR", FRAME, None)


def test_simpleitk_sees_the_same_voxels_in_the_same_place(series, tmp_path):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(save(series, tmp_path))))
    image, volume = reader.Execute(), read_series(tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), volume.array)
    corner = tuple(n - 1 for n in volume.array.shape)
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(corner), volume.grid.points([corner])[0], atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), volume.affine[:3, 3], atol=1e-6)


def test_instance_numbers_and_file_names_do_not_matter(series, tmp_path):
    for n, ds in enumerate(series):
        ds.InstanceNumber = (n * 5) % 7
    shuffled = [series[n] for n in (3, 0, 6, 2, 5, 1, 4)]
    volume = read_series(save(shuffled, tmp_path))
    assert np.array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-8)


def test_slices_against_the_normal_are_turned_round_with_their_place(tmp_path):
    backwards = AFFINE.copy()
    backwards[:3, 2] *= -1
    volume = read_series(save(slices(ARRAY, backwards), tmp_path))
    assert np.array_equal(volume.array, ARRAY[:, :, ::-1])
    assert np.linalg.det(volume.affine[:3, :3]) > 0
    np.testing.assert_allclose(volume.affine[:3, 3], backwards[:3] @ (0, 0, 6, 1), atol=1e-8)


def test_a_folder_a_list_and_a_single_file_are_read(series, tmp_path):
    folder = save(series, tmp_path)
    assert read_series(sorted(folder.iterdir())).array.shape == (12, 9, 7)
    single = read_series(folder / "002.dcm")
    assert np.array_equal(single.array[:, :, 0], ARRAY[:, :, 2])
    assert single.spacing[2] == pytest.approx(3.1)  # a single slice is as deep as its Slice Thickness


@pytest.mark.parametrize("modality", ["MR", "US"])
def test_a_multi_frame_image_is_sorted_by_its_frames_positions(modality, tmp_path):
    ds = enhanced(ARRAY, AFFINE, modality)
    order = [3, 0, 6, 2, 5, 1, 4]
    ds.PerFrameFunctionalGroupsSequence = [ds.PerFrameFunctionalGroupsSequence[k] for k in order]
    ds.PixelData = ARRAY.transpose(2, 1, 0)[order].tobytes()
    volume = read_series(save([ds], tmp_path))
    assert np.array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-8)
    assert volume.frame == FRAME
    assert (volume.fov is not None) == (modality == "US")


def test_what_is_not_the_image_is_passed_over(series, tmp_path):
    folder = save(series, tmp_path)
    report = image(ARRAY[:, :, 0].T.copy(), EncapsulatedPDFStorage, "DOC")
    del report.PixelData
    save([report], folder, names=["report.dcm"])
    (folder / "README.txt").write_text("exported on Monday")
    (folder / ".DS_Store").touch()
    assert read_series(folder).array.shape == (12, 9, 7)


def test_a_file_that_came_twice_counts_once(series, tmp_path):
    folder = save([*series, series[2]], tmp_path)
    again = series[4].copy()
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    save([again], folder, names=["again.dcm"])
    assert np.array_equal(read_series(folder).array, ARRAY)


def test_a_link_out_of_the_folder_or_a_pipe_refuses_it(series, tmp_path):
    folder = save(series[:5], tmp_path / "inside")
    outside = save(series[5:], tmp_path / "outside")
    (folder / "link.dcm").symlink_to(outside / "000.dcm")
    with refusal("PATH_UNSAFE", "link.dcm"):
        read_series(folder)
    (folder / "link.dcm").unlink()
    os.mkfifo(folder / "pipe")
    with refusal("PATH_UNSAFE", "pipe"):
        read_series(folder)
    (folder / "pipe").unlink()
    (folder / "all").symlink_to(outside, target_is_directory=True)
    with refusal("PATH_UNSAFE", "all is a link"):
        read_series(folder)


def test_a_tilted_gantry_keeps_its_shear_to_the_last_millimetre(series, tmp_path):
    _everywhere(_tilted)(series)
    with collect_notes() as notes:
        volume = read_series(save(series, tmp_path))
    sheared = AFFINE.copy()
    sheared[:3, 2] += 0.4 * AFFINE[:3, 1] / 1.3
    np.testing.assert_allclose(volume.affine, sheared, atol=1e-8)
    assert np.array_equal(volume.array, ARRAY)
    assert [note.code for note in notes] == ["GANTRY_TILT"]
    assert "7.4°" in notes[0].text


def test_of_two_series_the_one_of_the_asked_modality_is_taken_and_the_other_on_record(series, tmp_path):
    other = slices(ARRAY[:, ::-1], AFFINE, "CT")
    for ds in other:
        ds.SeriesInstanceUID = generate_uid(entropy_srcs=["other"])
    folder = save([*series, *other], tmp_path)
    with collect_notes() as notes:
        assert np.array_equal(read_series(folder, modality="CT").array, ARRAY[:, ::-1])
    assert [note.code for note in notes] == ["OTHER_SERIES"]
    with refusal("MIXED_SERIES", "MR of 7, CT of 7"):
        read_series(folder, modality="PT")


def _without(*keywords):
    def change(series):
        for keyword in keywords:
            delattr(series[2], keyword)

    return change


def _set(n=2, **values):
    def change(series):
        for keyword, value in values.items():
            setattr(series[n], keyword, value)

    return change


def _drop(*numbers):
    def change(series):
        for n in sorted(numbers, reverse=True):
            del series[n]

    return change


def _move(by, n=2):
    def change(series):
        series[n].ImagePositionPatient = [float(x) for x in np.array(series[n].ImagePositionPatient, float) + by]

    return change


def _everywhere(change):
    def changed(series):
        for n, ds in enumerate(series):
            change(n, ds)

    return changed


def _tilted(n, ds):
    shifted = np.array(ds.ImagePositionPatient, float) + n * 0.4 * AFFINE[:3, 1] / 1.3
    ds.ImagePositionPatient = [float(x) for x in shifted]


def _second_volume(series):
    for ds in slices(ARRAY[:, ::-1], AFFINE):
        series.append(ds)
    for ds in series:
        ds.InstanceNumber = 1


def _smaller(series):
    series[2] = slices(ARRAY[:, :8], AFFINE)[2]


NORMAL = AFFINE[:3, 2] / 3.1
GAP = f"{AFFINE[:3, 3] @ NORMAL + 3 * 3.1:.2f} mm"


@pytest.mark.parametrize(
    ("code", "sentence", "change"),
    [
        ("SLICE_GAP", f"no slice at {GAP} along the normal", _drop(3)),
        ("SLICE_GAP", f"no slice at {GAP[:-3]}, ", _drop(3, 4)),
        ("DUP_POSITION", "different images at", _move(-AFFINE[:3, 2])),
        ("DUP_POSITION", "different images at", _move(NORMAL * -3.099)),
        ("IRREGULAR_SPACING", "2.3 to 3.9 mm apart", _move(NORMAL * 0.8)),
        ("GANTRY_TILT", "shifted by up to 0.5 mm", _move(AFFINE[:3, 0] / 0.7 * 0.5)),
        ("MIXED_ORIENTATION", "parallel slices", _set(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])),
        ("MIXED_MATRIX", "(9, 12) and (8, 12)", _smaller),
        ("MIXED_SPACING", "one pixel spacing", _set(PixelSpacing=[1.3, 0.8])),
        ("MIXED_FRAME", "frames of reference", _set(FrameOfReferenceUID=generate_uid())),
        ("MIXED_SERIES", "MR of 1, MR of 6", _set(0, SeriesInstanceUID=generate_uid())),
        ("MULTI_VOLUME", "up to 2 images at each position, and no attribute that distinguishes their volumes", _second_volume),
        ("MULTI_VOLUME", "2 volumes in one series (0: DiffusionBValue 0 · 1: DiffusionBValue 800)", _everywhere(lambda n, ds: setattr(ds, "DiffusionBValue", 800.0 * (n > 3)))),
        ("MULTI_VOLUME", "mosaic", _set(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])),
        ("NO_GEOMETRY", "no Image Position", _without("ImagePositionPatient")),
        ("NO_GEOMETRY", "no Image Orientation", _without("ImageOrientationPatient")),
        ("NO_GEOMETRY", "no Image Position", _set(ImagePositionPatient=[1, 2])),
        ("IOP_INVALID", "orthogonal", _set(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])),
        ("IOP_INVALID", "orthogonal", _set(ImageOrientationPatient=[1, 0, 0, 0, 1.01, 0])),
        ("SPACING_INVALID", "[0.0, 1.0]", _set(PixelSpacing=[0, 1])),
        ("SPACING_INVALID", "none", _without("PixelSpacing")),
        ("SPACING_INVALID", "[700.0, 700.0]", _set(PixelSpacing=[700, 700])),
        ("RESCALE_INVALID", "slope 0.0", _set(RescaleSlope=0, RescaleIntercept=0)),
        ("PIXEL_MODULE", "lacks BitsStored", _without("BitsStored")),
        ("SIZE_CLAIM", "claims", _set(Rows=65535, Columns=65535)),
        ("SIZE_CLAIM", "claims", _set(NumberOfFrames=2**31 - 1)),
        ("CONSTANT", "every voxel is 0", _everywhere(lambda n, ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))),
    ],
)  # fmt: skip
def test_a_series_that_is_no_single_volume_is_refused_with_its_reason(series, tmp_path, code, sentence, change):
    change(series)
    with refusal(code, sentence):
        read_series(save(series, tmp_path))


def test_a_frame_without_a_place_makes_the_multi_frame_image_refused(tmp_path):
    ds = enhanced(ARRAY, AFFINE)
    del ds.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence
    with refusal("NO_GEOMETRY", "no Image Position"):
        read_series(save([ds], tmp_path))
    del ds.PerFrameFunctionalGroupsSequence[3]
    with refusal("PIXEL_MODULE", "7 frames with 6 functional groups"):
        read_series(save([ds], tmp_path))


def test_only_what_is_no_image_is_said_to_be_none(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with refusal("NOT_DICOM", "no DICOM object"):
        read_series(tmp_path)
    report = image(ARRAY[:, :, 0].T.copy(), EncapsulatedPDFStorage, "DOC")
    save([report], tmp_path)
    with refusal("NON_IMAGE", "Encapsulated PDF Storage"):
        read_series(tmp_path)
    with refusal("PATH_NOT_FOUND"):
        read_series(tmp_path / "none")


def test_an_unreadable_slice_stops_the_series_even_at_its_end(series, tmp_path):
    folder = save(series, tmp_path)
    whole = (folder / "006.dcm").read_bytes()
    for code, data in {"EMPTY_FILE": b"", "NOT_DICOM": b"x" * 500, "DICOM_TRUNCATED": whole[:-20]}.items():
        (folder / "006.dcm").write_bytes(data)
        with refusal(code, "006.dcm"):
            read_series(folder)


def test_a_file_cut_anywhere_in_its_header_is_refused_and_nearly_always_called_truncated(series, tmp_path):
    folder = save(series[:1], tmp_path)
    path = next(folder.iterdir())
    whole = path.read_bytes()
    codes = []
    for length in range(132, len(whole) - 400, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(XmedError) as caught:
            read_series(folder)
        codes.append(caught.value.code)
    assert codes.count("DICOM_TRUNCATED") > 0.7 * len(codes)
    assert set(codes) <= {"DICOM_TRUNCATED", "NOT_DICOM", "NON_IMAGE", "READER_FAILED"}


def test_no_name_of_a_patient_stands_in_a_refusal(series, tmp_path):
    del series[2].ImagePositionPatient
    series[3].PatientName = "Zz^Secret"
    with refusal("NO_GEOMETRY") as caught:
        read_series(save(series, tmp_path))
    assert "Zz" not in str(caught.value)
    assert "4711" not in str(caught.value)


def test_several_ultrasound_pictures_without_a_place_are_no_volume(tmp_path):
    with refusal("NO_GEOMETRY", "2 ultrasound images"):
        read_series(save([film(texture((1, 9, 12), n).astype(np.uint8)) for n in range(2)], tmp_path))


TWINS = DATA / "dicom2nifti-tests"
CLASSIC = [
    "anatomical/001",
    "anatomical/001_implicit",
    "ge/anatomical/001",
    "generic/anatomical/001",
    "generic/anatomical/002_non_isotropic",
    "generic/compressed/001",
    "generic/compressed_j2k/001",
    "generic/compressed_jpeg/001",
    "generic/compressed_jpegls/001",
    "generic/compressed_rle/001",
    "hitachi/anatomical/001",
    "hyperfine/anatomical/001",
    "philips/anatomical/001",
]


@pytest.mark.skipif(not TWINS.is_dir(), reason="XMED_DATA is not set")
@pytest.mark.parametrize("name", CLASSIC)
def test_real_series_equal_their_nifti_twins(name):
    volume = read_series(TWINS / name)
    twin = read_nifti(TWINS / f"{name}_ground_truth.nii.gz")
    across = np.linalg.inv(volume.affine) @ twin.affine  # twin's index → ours: a mirrored copy of the same voxels
    ijk = across[:3, :3] @ np.indices(twin.array.shape).reshape(3, -1) + across[:3, 3:]
    assert np.abs(ijk - np.rint(ijk)).max() < 1e-3
    values = volume.array[tuple(np.rint(ijk).astype(int))].reshape(twin.array.shape)
    np.testing.assert_allclose(values, twin.array, atol=1e-5)
    assert volume.array.size == twin.array.size


@pytest.mark.skipif(not TWINS.is_dir(), reason="XMED_DATA is not set")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ge/dti/001", "MULTI_VOLUME"),
        ("philips/anatomical/002", "MULTI_VOLUME"),
        ("generic/rgb/001", "DTYPE"),
        ("ge/anatomical/001_single_slice", "SPACING_INVALID"),
    ],
)
def test_real_series_that_are_no_single_volume_are_refused(name, code):
    with refusal(code):
        read_series(TWINS / name)


IBSI = DATA / "ibsi-sts-dev" / "reference_dicom_nifti"


@pytest.mark.skipif(not IBSI.is_dir(), reason="XMED_DATA is not set")
@pytest.mark.parametrize("patient", ["STS_003", "STS_019", "STS_025", "STS_041"])
@pytest.mark.parametrize("modality", ["CT", "MR_T1", "PET"])
def test_patients_equal_their_nifti_twins(patient, modality):
    volume = read_series(IBSI / patient / "dicom" / modality / "image")
    twin = read_nifti(IBSI / patient / "nifti" / f"{modality}_image.nii.gz")
    assert volume.grid.distance(twin.grid) < 1e-4
    np.testing.assert_allclose(volume.array, twin.array, atol=1e-5)


def test_private_knowledge_of_pydicom_holds():
    """`Instance.pixel_length` counts on an element that was read and not yet used to keep its declared length."""
    ds = pydicom.dcmread(pydicom.data.get_testdata_file("MR_truncated.dcm"))
    assert ds.get_item("PixelData").length > len(ds.get_item("PixelData").value)
