"""DICOM SEG: written labels come back voxel by voxel, and only onto the images they were made from."""

import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription, segread
from pydicom.uid import UltrasoundImageStorage, generate_uid

from support.dicom_conformance import faults
from support.synthetic_dicom import FRAME, enhanced, film, oblique, refusal, save, slices, texture
from xmed.io import Algorithm, read_label, read_nifti, read_series, write_nifti, write_seg
from xmed.io.notes import collect_notes
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

ARRAY, AFFINE = texture((12, 9, 7)), oblique()
TABLE = LabelTable(
    (Structure(2, "prostate", "123037004", "41216001"), Structure(5, "bladder", "123037004", "89837001"))
)
BY = Algorithm("bridge", "3", "ab" * 32)
LABELS = np.random.default_rng(1).choice([0, 0, 2, 5], ARRAY.shape).astype(np.uint8)
LABELS[:, :, 3] = 0


@pytest.fixture(params=["single-frame", "Enhanced MR", "Enhanced US Volume"])
def source(request, tmp_path):
    made = {
        "single-frame": lambda: slices(ARRAY, AFFINE)[::-1],
        "Enhanced MR": lambda: [enhanced(ARRAY, AFFINE)],
        "Enhanced US Volume": lambda: [enhanced(ARRAY, AFFINE, "US")],
    }
    return save(made[request.param](), tmp_path / "source")


@pytest.fixture
def seg(source, tmp_path):
    def write(labels=LABELS, table=TABLE, **changes):
        volume = read_series(source).with_array(labels)
        for name, value in changes.items():
            object.__setattr__(volume, name, value)
        write_seg(volume, source, table, tmp_path / "seg.dcm", BY)
        return tmp_path / "seg.dcm"

    return write


def test_labels_come_back_as_they_were_written(source, seg):
    back = read_label(seg(), read_series(source), TABLE)
    assert back.array.dtype == np.uint8
    assert np.array_equal(back.array, LABELS)


def test_highdicom_finds_the_labels_in_the_same_place(source, seg):
    found = segread(seg()).get_volume(combine_segments=True, relabel=False)
    across = np.linalg.inv(read_series(source).affine) @ found.affine
    ijk = np.rint(across[:3, :3] @ np.indices(found.spatial_shape).reshape(3, -1) + across[:3, 3:]).astype(int)
    assert np.array_equal(np.array([0, 2, 5])[found.array.ravel()], LABELS[tuple(ijk)])


def test_an_empty_segmentation_comes_back_empty(source, seg):
    assert not read_label(seg(LABELS * 0), read_series(source), TABLE).array.any()


def test_the_object_says_who_drew_what_on_which_images(source, seg):
    ds = pydicom.dcmread(seg())
    segment = ds.SegmentSequence[0]
    assert (ds.Modality, ds.FrameOfReferenceUID, ds.PatientID) == ("SEG", FRAME, "ZZ-4711")
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("prostate", "AUTOMATIC")
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Prostate"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("bridge", "3")
    assert algorithm.AlgorithmParameters == f"weights_sha256={'ab' * 32}"
    referenced = {
        (item.ReferencedSOPInstanceUID, item.get("ReferencedFrameNumber", 1))
        for frame in ds.PerFrameFunctionalGroupsSequence
        for item in frame.DerivationImageSequence[0].SourceImageSequence
    }
    images = {pydicom.dcmread(path).SOPInstanceUID for path in source.iterdir()}
    assert {uid for uid, _ in referenced} <= images
    assert len(referenced) == 6  # the empty slice is not stored


def test_a_segment_is_known_by_its_code_where_its_name_differs(source, seg):
    table = LabelTable((Structure(9, "Prostata", "123037004", "41216001"),))
    back = read_label(seg(), read_series(source), table)
    assert np.array_equal(back.array == 9, LABELS == 2)
    assert set(np.unique(back.array)) == {0, 9}


def test_a_structure_without_codes_cannot_be_written(seg):
    with refusal("SPEC_INVALID", "'prostate' has no SNOMED-CT codes"):
        seg(table=LabelTable((Structure(2, "prostate"), Structure(5, "bladder"))))


def test_labels_of_another_frame_or_grid_are_not_written(seg, tmp_path):
    with refusal("FRAME_MISMATCH"):
        seg(frame=generate_uid())
    moved = AFFINE.copy()
    moved[0, 3] += 1
    with refusal("GRID_MISMATCH", "up to 1 mm"):
        seg(affine=moved)
    with refusal("GRID_MISMATCH"):
        seg(labels=LABELS[:, :, 1:])
    with refusal("LABEL_VALUES", "[7]"):
        seg(labels=LABELS * 0 + 7)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_segmentation_is_not_laid_over_another_image(source, seg, tmp_path):
    path, image = seg(), read_series(source)
    object.__setattr__(image, "frame", generate_uid())
    with refusal("FRAME_MISMATCH"):
        read_label(path, image, TABLE)
    object.__setattr__(image, "frame", FRAME)
    moved = image.affine.copy()
    moved[:3, 3] += 0.4 * moved[:3, 0]
    object.__setattr__(image, "affine", moved)
    with refusal("GRID_MISMATCH", "0.40 voxels"):
        read_label(path, image, TABLE)


def test_a_mirrored_or_cropped_image_takes_its_own_voxels_or_refuses(source, seg):
    path, image = seg(), read_series(source)
    mirrored = image.affine.copy()
    mirrored[:3, 3] = image.affine[:3] @ (11, 0, 0, 1)
    mirrored[:3, 0] *= -1
    object.__setattr__(image, "affine", mirrored)
    assert np.array_equal(read_label(path, image, TABLE).array, LABELS[::-1])
    object.__setattr__(image, "array", image.array[2:])
    with refusal("GRID_MISMATCH", "outside its image"):
        read_label(path, image, TABLE)


def test_unknown_segments_are_passed_over_but_not_all_of_them(source, seg):
    path, image = seg(), read_series(source)
    only = LabelTable((Structure(1, "bladder"),))
    assert np.array_equal(read_label(path, image, only).array == 1, LABELS == 5)
    with refusal("LABEL_MISSING", "prostate, bladder"):
        read_label(path, image, LabelTable((Structure(1, "liver"),)))


def test_overlapping_segments_are_refused(source, seg, tmp_path):
    ds = pydicom.dcmread(seg(np.full_like(LABELS, 2)))
    for frame in ds.PerFrameFunctionalGroupsSequence[:1]:
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 2
        frame.PlanePositionSequence = ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    ds.save_as(tmp_path / "overlap.dcm")
    with refusal("LABEL_VALUES", "overlap"):
        read_label(tmp_path / "overlap.dcm", read_series(source), TABLE)


def test_a_probability_counts_from_one_half(source, seg, tmp_path):
    ds = pydicom.dcmread(seg(np.full_like(LABELS, 2)))
    probability = np.random.default_rng(0).integers(0, 201, (ds.NumberOfFrames, ds.Rows, ds.Columns)).astype(np.uint8)
    ds.SegmentationType, ds.SegmentationFractionalType, ds.MaximumFractionalValue = "FRACTIONAL", "PROBABILITY", 200
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelData = probability.tobytes() + b"\0" * (probability.size % 2)
    ds.save_as(tmp_path / "fraction.dcm")
    image = read_series(source)
    array = read_label(tmp_path / "fraction.dcm", image, TABLE).array
    order = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in ds.PerFrameFunctionalGroupsSequence]
    slices_at = np.argsort(np.array(order, float) @ image.affine[:3, 2])
    assert np.array_equal(array == 2, (probability[slices_at] >= 100).transpose(2, 1, 0))


@pytest.mark.parametrize("labels", [LABELS, LABELS * 0], ids=["full", "empty"])
def test_dciodvfy_finds_no_error_in_it(seg, labels):
    assert faults(seg(labels)) == []


def test_it_goes_through_nifti_and_comes_back_on_the_exact_grid(source, seg, tmp_path):
    image = read_series(source)
    back = read_label(seg(), image, TABLE)
    write_nifti(back, tmp_path / "x.nii.gz")
    assert read_nifti(tmp_path / "x.nii.gz").grid.distance(image.grid) < 1e-4
    again = read_label(tmp_path / "x.nii.gz", image, TABLE)
    assert np.array_equal(again.array, LABELS)
    write_seg(again, source, TABLE, tmp_path / "again.dcm", BY)
    assert np.array_equal(read_label(tmp_path / "again.dcm", image, TABLE).array, LABELS)


def test_a_header_that_says_more_than_a_decimal_string_holds_or_states_a_wrong_gap_does_no_harm(tmp_path):
    series = slices(ARRAY, AFFINE)
    for n, ds in enumerate(series):
        ds.SpacingBetweenSlices = 0.5
        ds.ImageOrientationPatient = [x + 1e-7 * (n % 2) for x in ds.ImageOrientationPatient]
    folder = save(series, tmp_path / "source")
    image = read_series(folder)
    write_seg(image.with_array(LABELS), folder, TABLE, tmp_path / "seg.dcm", BY)
    assert np.array_equal(read_label(tmp_path / "seg.dcm", image, TABLE).array, LABELS)
    measures = pydicom.dcmread(tmp_path / "seg.dcm").SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SpacingBetweenSlices == pytest.approx(3.1)
    assert faults(tmp_path / "seg.dcm") == []


def test_slices_stacked_off_their_normal_keep_their_place(tmp_path):
    lean = np.eye(4)
    lean[1, 2] = 0.5
    folder = save(slices(ARRAY, AFFINE @ lean), tmp_path / "source")
    with collect_notes():
        image = read_series(folder)
    with collect_notes() as notes:
        write_seg(image.with_array(LABELS), folder, TABLE, tmp_path / "seg.dcm", BY)
    assert notes == []  # whoever read the image has heard it
    assert np.array_equal(read_label(tmp_path / "seg.dcm", image, TABLE).array, LABELS)
    assert faults(tmp_path / "seg.dcm") == []


PICTURES = {
    "film": lambda: film(texture((7, 9, 12)).astype(np.uint8)),
    "film of one frame": lambda: film(texture((1, 9, 12)).astype(np.uint8)),
    "picture": lambda: picture(),
}


def picture():
    ds = film(texture((1, 9, 12)).astype(np.uint8))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    del ds.NumberOfFrames
    return ds


@pytest.fixture(params=list(PICTURES))
def filmed(request, tmp_path):
    """An ultrasound picture or film, labels on it, and the SEG of them."""
    folder = save([PICTURES[request.param]()], tmp_path / "film")
    volume = read_series(folder)
    labels = volume.with_array(LABELS[:, :, : volume.array.shape[2]])
    write_seg(labels, folder, TABLE, tmp_path / "seg.dcm", BY)
    return volume, labels, tmp_path / "seg.dcm"


def test_a_film_is_segmented_frame_by_frame_without_a_frame_of_reference(filmed):
    volume, labels, path = filmed
    assert np.array_equal(read_label(path, volume, TABLE).array, labels.array)
    assert "FrameOfReferenceUID" not in pydicom.dcmread(path)
    assert faults(path) == []


def test_highdicom_finds_the_labels_of_a_film_in_the_same_frames(filmed):
    volume, labels, path = filmed
    found = segread(path)
    uid = found.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
    frames = range(1, volume.array.shape[2] + 1)
    whole = {"combine_segments": True, "ignore_spatial_locations": True, "assert_missing_frames_are_empty": True}
    if (
        "ReferencedFrameNumber"
        in found.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    ):
        pixels = found.get_pixels_by_source_frame(uid, frames, **whole)
    else:
        pixels = found.get_pixels_by_source_instance([uid], **whole)
    assert np.array_equal(np.array([0, 2, 5])[pixels.transpose(2, 1, 0)], labels.array)


def test_a_segmentation_without_a_place_is_not_laid_over_an_image_that_has_one(filmed, source):
    _, _, path = filmed
    with refusal("NO_GEOMETRY"):
        read_label(path, read_series(source), TABLE)


def test_a_film_of_another_size_or_length_does_not_take_the_segmentation(filmed):
    volume, _, path = filmed
    smaller = Volume(volume.array[1:], volume.affine, modality="US")
    with refusal("GRID_MISMATCH"):
        read_label(path, smaller, TABLE)


def test_a_label_map_segmentation_is_read(source, seg, tmp_path):
    written = pydicom.dcmread(seg())
    images = [pydicom.dcmread(path) for path in sorted(source.iterdir())]
    if images[0].Modality == "US":
        pytest.skip("highdicom writes none for an Enhanced US Volume")
    image = read_series(source)
    order = slice(None, None, -1) if len(images) > 1 else slice(None)  # the fixture writes single frames last to first
    made = Segmentation(
        images,
        np.select([LABELS == 2, LABELS == 5], [1, 2]).astype(np.uint8).transpose(2, 1, 0)[order],
        SegmentationTypeValues.LABELMAP,
        [SegmentDescription.from_dataset(segment) for segment in written.SegmentSequence],
        generate_uid(), 1, generate_uid(), 1, "xmed", "test", "1", "1",
    )  # fmt: skip
    made.save_as(tmp_path / "map.dcm")
    assert np.array_equal(read_label(tmp_path / "map.dcm", image, TABLE).array, LABELS)
