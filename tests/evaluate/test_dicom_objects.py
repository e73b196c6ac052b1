"""Objects: what a model drew and measured on a DICOM test case, as SEG and SR that conform, agree and name nobody."""

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from support.dicom_conformance import faults
from support.evaluated_runs import written
from support.planted_identifiers import COLUMNS, FRAMES, IDENTIFIERS, ROWS, into, planted, survivors
from support.synthetic_dicom import enhanced, oblique, save, slices, texture
from xmed import report
from xmed.cohort import ingest_cases, summarise_cohorts
from xmed.deidentify import Crosswalk, Secret, deidentify_files
from xmed.evaluate import evaluate_run, write_objects
from xmed.io import write_nifti
from xmed.records.record import content
from xmed.report.build_report import manifest
from xmed.run import Run
from xmed.spec import DatasetSpec
from xmed.volume import Volume

SHAPE, AFFINE = (12, 9, 7), oblique((1.0, 2.0, 2.5))  # 0.005 mL a voxel


def named(datasets):
    """Data sets of one series, full of names, and each with an identifier of its own."""
    for ds in map(into, datasets):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return datasets


KINDS = {
    "MR": (lambda: named(slices(texture(SHAPE), AFFINE)), SHAPE, AFFINE, "MR"),
    "Enhanced US Volume": (lambda: named([enhanced(texture(SHAPE), AFFINE, "US")]), SHAPE, AFFINE, "US"),
    "US film": (lambda: [planted()], (COLUMNS, ROWS, FRAMES), np.diag([0.2, 0.2, 1.0, 1.0]), "US"),
}


def made(tmp_path, kind, coded=True):
    """A finished run on two DICOM test cases, `a` and `b`, and its home; the model drew a box in each."""
    datasets, shape, affine, modality = KINDS[kind]
    organ = np.zeros(shape, np.uint8)
    organ[2:6, 3:7, 1:4] = 1
    for case in "ab":
        save(datasets(), tmp_path / "in" / case / "image")
        write_nifti(Volume(organ, affine), tmp_path / "in" / case / "label.nii.gz")
    codes = {"category": "123037004", "type": "41216001"} if coded else {}
    document = {
        "name": "toy-us", "modality": modality, "root": str(tmp_path / "in"), "splits": {"train": ["a"], "test": ["b"]},
        "layout": {"image": "{case}/image", "label": "{case}/label.nii.gz"}, "labels": {3: {"name": "prostate", **codes}},
    }  # fmt: skip
    write_nifti(Volume(organ * 3, affine), tmp_path / "in" / "b" / "label.nii.gz")
    write_nifti(Volume(organ * 3, affine), tmp_path / "in" / "a" / "label.nii.gz")
    home = tmp_path / "home"
    cohort = ingest_cases(DatasetSpec.model_validate(document), home)
    assert [case.id for case in cohort.cases] == ["a", "b"]
    run = written(tmp_path / "home" / "runs" / "toy", patients=1, seeds=(0,), names=("prostate",))
    model = run.arm("adapted", 0) / "model" / "weights.safetensors"
    model.parent.mkdir()
    model.write_bytes(b"weights")
    drawn = np.zeros(shape, np.uint8)
    drawn[2:7, 3:7, 1:6] = 1  # 100 voxels
    np.savez_compressed(run.arm("adapted", 0) / evaluate_run.LABELS, **{"case.b": drawn})
    data = summarise_cohorts(cohort, cohort)
    run.write("data", {**run.read("data"), "target": content(data.target)})
    run.write("rows", [{**row, "case": "b", "patient": "b"} for row in run.read("rows")])
    return run, home


@pytest.mark.parametrize("kind", KINDS)
def test_every_dicom_test_case_gets_a_conforming_report_that_names_nobody(tmp_path, kind):
    run, home = made(tmp_path, kind)
    found = write_objects(run, home)
    assert [(row.case, row.reason) for row in found.cases] == [("b", None)]
    segmentation, measured = run.objects / "b.seg.dcm", run.objects / "b.sr.dcm"
    assert sorted(path.name for path in run.objects.iterdir()) == ["b.seg.dcm", "b.sr.dcm"]
    assert survivors(run.objects, run.folder / "objects.json", tokens=(*IDENTIFIERS, "ZZ-4711", "SECRET")) == set()
    assert faults(segmentation) == faults(measured) == []
    groups = highdicom.sr.srread(measured).content.get_image_measurement_groups()
    groups += highdicom.sr.srread(measured).content.get_planar_roi_measurement_groups()
    groups += highdicom.sr.srread(measured).content.get_volumetric_roi_measurement_groups()
    [[value]] = [group.get_measurements() for group in groups]
    # 100 voxels of 5 mm³; in a film 20 pixels of 0.2 × 0.2 mm
    assert (value.value, value.unit.value) == ((pytest.approx(0.5), "mL") if "film" not in kind else (0.008, "cm2"))


def test_the_images_they_refer_to_are_those_that_deidentify_writes_and_the_crosswalk_knows_them(tmp_path):
    run, home = made(tmp_path, "MR")
    write_objects(run, home)
    deidentify_files(tmp_path / "in" / "b" / "image", tmp_path / "out", home)
    images = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, (tmp_path / "out").rglob("*.dcm"))}
    segmentation = pydicom.dcmread(run.objects / "b.seg.dcm")
    [series] = segmentation.ReferencedSeriesSequence
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence} == set(images)
    first = next(iter(images.values()))
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID"):
        assert segmentation[keyword].value == first[keyword].value
    assert (segmentation.PatientIdentityRemoved, series.SeriesInstanceUID) == ("YES", first.SeriesInstanceUID)
    known = {(one["kind"], one["pseudonym"]) for one in Crosswalk.below(home, Secret.find(home)[0]).read()}
    assert {("patient", str(segmentation.PatientID)), ("uid", str(segmentation.StudyInstanceUID))} <= known


def test_they_are_made_once_and_not_at_all_where_the_files_changed_or_codes_are_missing(tmp_path):
    run, home = made(tmp_path, "MR")
    first = write_objects(run, home)
    assert write_objects(run, home) == first
    changed = next((tmp_path / "in" / "b" / "image").iterdir())
    changed.write_bytes(changed.read_bytes() + b"\0\0")
    (run.folder / "objects.json").unlink()
    assert write_objects(run, home).cases == []
    run, home = made(tmp_path / "uncoded", "MR", coded=False)
    [row] = write_objects(run, home).cases
    assert row.reason.startswith("SPEC_INVALID")
    assert list(run.objects.iterdir()) == []


def test_the_report_carries_them_in_its_manifest_and_finds_one_that_was_changed(tmp_path):
    run, home = made(tmp_path, "MR")
    write_objects(run, home)
    report.write_report(run)
    assert "dicom/b.sr.dcm\n" in (run.report / "MANIFEST.sha256").read_text()
    assert "1 of 1 DICOM test cases" in (run.report / "report.html").read_text()
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []
    for path in (run.objects / "b.sr.dcm", run.report / "dicom" / "b.sr.dcm"):
        path.write_bytes(path.read_bytes().replace(b"prostate", b"stomachs"))
    (run.report / "MANIFEST.sha256").write_text(manifest(run.report))
    assert report.verify_report(run.folder) == ["objects/b.sr.dcm: is not the one that was written"]
    Run(run.folder).write("objects", {**run.read("objects"), "cases": []})
    report.write_report(run)
    assert not (run.report / "dicom").exists()
