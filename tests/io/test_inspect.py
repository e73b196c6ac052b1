"""Inspection: one line for everything in a folder, the same verdict as ingest, no name and no written file."""

import numpy as np
from PIL import Image
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

from support.synthetic_dicom import image, oblique, refusal, save, slices, texture
from xmed.io import inspect, write_nifti
from xmed.volume import Volume

ARRAY, AFFINE = texture((12, 9, 7)), oblique()


def findings(folder):
    return {finding.path.name: finding for finding in inspect(folder)}


def test_everything_in_a_folder_has_its_line(tmp_path):
    save(slices(ARRAY, AFFINE), tmp_path / "good")
    save(slices(ARRAY, AFFINE)[:3] + slices(ARRAY, AFFINE)[4:], tmp_path / "gap")
    report = image(ARRAY[:, :, 0].T.copy(), EncapsulatedPDFStorage, "DOC")
    save([report], tmp_path, names=["report"])
    write_nifti(Volume(ARRAY, AFFINE), tmp_path / "x.nii.gz")
    (tmp_path / "half.nii.gz").write_bytes((tmp_path / "x.nii.gz").read_bytes()[:300])
    Image.fromarray(ARRAY[:, :, 0].astype(np.uint8)).save(tmp_path / "x.png")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty.dcm").touch()
    found = findings(tmp_path)
    assert {name: (f.kind, f.verdict, f.code) for name, f in found.items()} == {
        "good": ("series", "ok", None),
        "gap": ("series", "refused", "SLICE_GAP"),
        "report": ("other", "skipped", "NON_IMAGE"),
        "x.nii.gz": ("nifti", "ok", None),
        "half.nii.gz": ("nifti", "refused", "GZIP_TRUNCATED"),
        "x.png": ("picture", "ok", None),
        "notes.txt": ("other", "skipped", "NOT_DICOM"),
        "empty.dcm": ("other", "refused", "EMPTY_FILE"),
    }
    good = found["good"]
    assert (good.files, good.modality, good.shape) == (7, "MR", (12, 9, 7))
    np.testing.assert_allclose(good.spacing_mm, (0.7, 1.3, 3.1))


def test_two_series_in_a_folder_are_two_lines(tmp_path):
    other = slices(ARRAY, AFFINE)
    for ds in other:
        ds.SeriesInstanceUID = generate_uid(entropy_srcs=["other"])
    save([*slices(ARRAY, AFFINE), *other], tmp_path)
    found = inspect(tmp_path)
    assert [(finding.files, finding.verdict) for finding in found] == [(7, "ok"), (7, "ok")]
    assert len({finding.series for finding in found}) == 2


def test_a_series_beside_an_unreadable_slice_is_not_called_good(tmp_path):
    folder = save(slices(ARRAY, AFFINE), tmp_path)
    (folder / "006.dcm").write_bytes((folder / "006.dcm").read_bytes()[:-9])
    verdicts = {finding.kind: (finding.verdict, finding.code) for finding in inspect(folder)}
    assert verdicts["series"] == ("refused", "DICOM_TRUNCATED")


def test_nothing_that_is_said_names_the_patient(tmp_path):
    save(slices(ARRAY, AFFINE), tmp_path / "good")
    save(slices(ARRAY, AFFINE)[::2], tmp_path / "gap")
    said = repr(inspect(tmp_path))
    assert "Zz" not in said
    assert "4711" not in said


def test_a_single_file_can_be_asked_for_and_a_missing_one_is_said_to_be_missing(tmp_path):
    folder = save(slices(ARRAY, AFFINE), tmp_path)
    assert [finding.shape for finding in inspect(folder / "003.dcm")] == [(12, 9, 1)]
    with refusal("PATH_NOT_FOUND"):
        inspect(tmp_path / "none")


def test_nothing_is_written(tmp_path):
    folder = save(slices(ARRAY, AFFINE), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    inspect(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
