"""Prediction: the files that were asked for, whole, on the image's grid, or none of them and the reason."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from rich.console import Console

from support.dicom_conformance import faults
from support.synthetic_dicom import film, oblique, refusal, save, slices, texture
from xmed.app.predict_image import predict_file, show_prediction
from xmed.io import read_label, read_nifti, read_series
from xmed.labels import LabelTable, Structure
from xmed.records.model_card import ModelOrigin

TABLE = LabelTable((Structure(1, "prostate", "123037004", "41216001"),))
MASK = np.zeros((12, 9, 7), np.uint8)
MASK[2:6, 2:5, 1:4] = 1


@pytest.fixture
def source(tmp_path):
    return save(slices(texture(MASK.shape), oblique()), tmp_path / "mr")


@pytest.fixture
def predicted(monkeypatch, source, tmp_path):
    """What `predict_file` answers, for a model that calls a block of every image the prostate."""
    known = SimpleNamespace(
        modality="MR", structures=TABLE, origin=ModelOrigin(study="bridge"), weights_sha256="ab" * 32
    )
    monkeypatch.setattr("xmed.app.predict_image.fetch", lambda *_: Path())
    monkeypatch.setattr("xmed.app.predict_image.Model", SimpleNamespace(load=lambda _: known))
    monkeypatch.setattr("xmed.app.predict_image.predict", lambda _, image: image.with_array(MASK))

    def run(out="out.dcm", form="dicom-seg", sr=None, force=False, modality="MR"):
        known.modality = modality
        sr = tmp_path / sr if sr else None
        return predict_file("model", source, tmp_path / out, form, force, tmp_path / "home", sr=sr)

    return run


def test_a_segmentation_and_its_measurements_are_written_side_by_side(predicted, source, tmp_path):
    document = predicted(sr="sr.dcm")
    assert (document["output"], document["measurements"]) == (str(tmp_path / "out.dcm"), str(tmp_path / "sr.dcm"))
    assert document["volume_ml"]["prostate"] == pytest.approx(36 * 0.7 * 1.3 * 3.1 / 1000)
    assert np.array_equal(read_label(tmp_path / "out.dcm", read_series(source), TABLE).array, MASK)
    segmentation, report = (pydicom.dcmread(tmp_path / name) for name in ("out.dcm", "sr.dcm"))
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert segmentation.SeriesInstanceUID in [series.SeriesInstanceUID for series in evidence]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mr", "out.dcm", "sr.dcm"]


def test_neither_of_them_has_an_error_for_dciodvfy(predicted, tmp_path):
    predicted(sr="sr.dcm")
    assert faults(tmp_path / "out.dcm") == faults(tmp_path / "sr.dcm") == []


def test_nifti_lies_on_the_images_grid(predicted, source, tmp_path):
    predicted("out.nii.gz", "nifti")
    back = read_nifti(tmp_path / "out.nii.gz")
    assert np.array_equal(back.array, MASK)
    assert back.grid.distance(read_series(source).grid) < 1e-4


def test_in_a_film_the_third_axis_is_time_and_nothing_has_a_volume(predicted, source, tmp_path, capsys):
    frames = np.random.default_rng(0).integers(1, 200, (7, 9, 12)).astype(np.uint8)
    for path in source.iterdir():
        path.unlink()
    save([film(frames)], source)
    document = predicted("out.nii.gz", "nifti", modality="US")
    assert document["volume_ml"] is None
    assert document["largest_area_cm2"]["prostate"] == pytest.approx(12 * 0.2 * 0.3 / 100)
    show_prediction(Console(), document)
    said = capsys.readouterr().out
    assert "mL" not in said
    assert "cm²" in said


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("USAGE", {"out": "out.nii.gz", "form": "nifti", "sr": "sr.dcm"}),
        ("USAGE", {"sr": "sr.nii.gz"}),
        ("USAGE", {"sr": "out.dcm"}),
        ("PATH_NOT_FOUND", {"sr": "nowhere/sr.dcm"}),
        ("OUTPUT_EXISTS", {"sr": "mr/000.dcm"}),
    ],
)
def test_where_measurements_go_is_checked_before_anything_is_written(predicted, tmp_path, code, asked):
    with refusal(code):
        predicted(**asked)
    assert [path.name for path in tmp_path.iterdir()] == ["mr"]
