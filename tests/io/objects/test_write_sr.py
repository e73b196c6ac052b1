"""DICOM SR: the report says how much of each structure there is, of which segment, and who measured it."""

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from support.dicom_conformance import faults
from support.synthetic_dicom import enhanced, film, oblique, refusal, save, slices, texture
from xmed.io import Algorithm, read_series, write_seg, write_sr
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

AFFINE = oblique((1.0, 2.0, 2.5))  # 0.005 mL a voxel
BY = Algorithm("bridge", "3", "ab" * 32)
TABLE = LabelTable(
    (
        Structure(2, "prostate", "123037004", "41216001"),
        Structure(5, "bladder", "123037004", "89837001"),
        Structure(6, "rectum", "123037004", "34402009"),
    )
)
LABELS = np.zeros((12, 9, 7), np.uint8)
LABELS[2:6, 2:7, 1:6] = 2  # 100 voxels
LABELS[8:10, 0:5, 3] = 5  # 10 voxels
LABELS[8:10, 0:2, 4] = 5  # 4 voxels


@pytest.fixture(params=["single-frame", "Enhanced MR", "Enhanced US Volume"])
def source(request, tmp_path):
    array = texture(LABELS.shape)
    made = {
        "single-frame": lambda: slices(array, AFFINE),
        "Enhanced MR": lambda: [enhanced(array, AFFINE)],
        "Enhanced US Volume": lambda: [enhanced(array, AFFINE, "US")],
    }
    return save(made[request.param](), tmp_path / "source")


@pytest.fixture
def filmed(tmp_path):
    return save([film(texture((7, 9, 12)).astype(np.uint8))], tmp_path / "film")  # 0.2 × 0.3 mm a pixel


def written(folder, tmp_path, array=LABELS):
    labels = read_series(folder).with_array(array)
    write_seg(labels, folder, TABLE, tmp_path / "seg.dcm", BY)
    write_sr(labels, tmp_path / "seg.dcm", TABLE, tmp_path / "sr.dcm", BY)
    return tmp_path / "sr.dcm"


def told(group):
    measured = group.get_measurements()[0]
    return group.tracking_identifier, pytest.approx(measured.value), measured.unit.value, measured.name.meaning


def test_every_structure_has_its_volume_in_millilitres_also_one_that_was_not_found(source, tmp_path):
    report = highdicom.sr.srread(written(source, tmp_path)).content
    groups = report.get_volumetric_roi_measurement_groups()
    assert [told(group) for group in groups] == [
        ("prostate", 0.5, "mL", "Volume"),
        ("bladder", 0.07, "mL", "Volume"),
        ("rectum", 0.0, "mL", "Volume"),
    ]
    assert [group.finding_type.value for group in groups] == ["41216001", "89837001", "34402009"]


def test_each_measurement_refers_to_its_segment_and_its_source_series(source, tmp_path):
    report = highdicom.sr.srread(written(source, tmp_path)).content
    segmentation = pydicom.dcmread(tmp_path / "seg.dcm")
    for number, group in enumerate(report.get_volumetric_roi_measurement_groups(), start=1):
        segment = referred(group)
        assert segment.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert segment.ReferencedSegmentNumber == number
        assert segmentation.SegmentSequence[number - 1].SegmentLabel == group.tracking_identifier
        assert pydicom.dcmread(next(source.iterdir())).SeriesInstanceUID in stated(group[0]).values()


def stated(item):
    """Texts, UIDs and numbers in a content tree, by the meaning of their concept; of several, the last."""
    found = {}
    for inner in item.get("ContentSequence", ()):
        value = inner.get("TextValue") or inner.get("UID")
        if value:
            found[inner.ConceptNameCodeSequence[0].CodeMeaning] = value
        found |= stated(inner)
    return found


def referred(group):
    """What the first image reference of a measurement group points at."""
    return next(item for item in group[0].ContentSequence if item.ValueType == "IMAGE").ReferencedSOPSequence[0]


def test_the_report_says_who_measured_and_that_nobody_verified(source, tmp_path):
    ds = pydicom.dcmread(written(source, tmp_path))
    found = stated(ds)
    assert (found["Algorithm Name"], found["Algorithm Version"]) == ("bridge", "3")
    assert found["Algorithm Parameters"] == "weights_sha256 " + "ab" * 32
    assert (found["Device Observer Name"], found["Device Observer Manufacturer"]) == ("bridge", "xmed")
    assert (ds.VerificationFlag, ds.CompletionFlag, ds.Modality) == ("UNVERIFIED", "COMPLETE", "SR")


def test_patient_and_study_are_those_of_the_images_and_every_image_is_evidence(source, tmp_path):
    ds = pydicom.dcmread(written(source, tmp_path))
    images = [pydicom.dcmread(path) for path in source.iterdir()]
    assert (ds.PatientID, ds.StudyInstanceUID) == (images[0].PatientID, images[0].StudyInstanceUID)
    named = {
        item.ReferencedSOPInstanceUID
        for sequence in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in ds.get(sequence, ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert named == {image.SOPInstanceUID for image in images} | {pydicom.dcmread(tmp_path / "seg.dcm").SOPInstanceUID}


def test_dciodvfy_finds_no_error_in_it(source, tmp_path):
    assert faults(written(source, tmp_path)) == []


@pytest.mark.parametrize("array", [LABELS, LABELS * 0], ids=["full", "empty"])
def test_dciodvfy_finds_no_error_in_the_report_on_a_film(filmed, tmp_path, array):
    assert faults(written(filmed, tmp_path, array)) == []


def test_in_a_film_nothing_has_a_volume_but_its_largest_area_and_the_frame_of_it(filmed, tmp_path):
    report = highdicom.sr.srread(written(filmed, tmp_path)).content
    assert report.get_volumetric_roi_measurement_groups() == []
    groups = report.get_planar_roi_measurement_groups()
    assert [told(group) for group in groups] == [
        ("prostate", 20 * 0.0006, "cm2", "Area"),
        ("bladder", 10 * 0.0006, "cm2", "Area"),
    ]
    segmentation = pydicom.dcmread(tmp_path / "seg.dcm")
    for number, film_frame, group in ((1, 2, groups[0]), (2, 4, groups[1])):
        shown = segmentation.PerFrameFunctionalGroupsSequence[referred(group).ReferencedFrameNumber - 1]
        assert shown.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number
        origin = shown.DerivationImageSequence[0].SourceImageSequence[0]
        assert origin.ReferencedFrameNumber == film_frame
    absent = report.get_image_measurement_groups()
    assert [told(group) for group in absent] == [("rectum", 0.0, "cm2", "Area")]


def test_labels_of_another_segmentation_are_not_reported(source, tmp_path):
    written(source, tmp_path)
    image = read_series(source)
    moved = Volume(LABELS, image.affine, generate_uid())
    with refusal("FRAME_MISMATCH"):
        write_sr(moved, tmp_path / "seg.dcm", TABLE, tmp_path / "x.dcm", BY)
    cut = Volume(LABELS[1:], image.affine, image.frame)
    with refusal("GRID_MISMATCH"):
        write_sr(cut, tmp_path / "seg.dcm", TABLE, tmp_path / "x.dcm", BY)
    assert not (tmp_path / "x.dcm").exists()
