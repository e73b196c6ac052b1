"""Leaks: of the identifiers in a study's files none stands anywhere below XMED_HOME, nor on the screen, after a run."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from support.checkout import ROOT
from support.planted_identifiers import (
    COLUMNS,
    FILE_NAME,
    FOLDER,
    FRAMES,
    IDENTIFIERS,
    ROWS,
    into,
    planted,
    planted_nifti,
    survivors,
)
from support.ready_databases import give_prefect_database
from support.synthetic_dicom import oblique, slices, texture
from xmed.io.nifti.orientation import RAS_TO_LPS

DATASET = """
name: {name}
modality: {modality}
root: {root}
layout: {{image: "{{case}}/image", label: "{{case}}/*.nii.gz"}}
labels: {{1: {{name: organ, category: "123037004", type: "41216001"}}}}
splits: {{fraction: {{train: 0.5, test: 0.5}}}}
"""
STUDY = """
name: planted
source: {folder}/planted-mr.yaml
target: {folder}/planted-us.yaml
structures: [organ]
grid: {{spacing_mm: [1, 1, 1], patch: [16, 16, 1]}}
network: {{name: unet, channels: [4, 8, 16]}}
method: {{name: gin}}
budget: {{steps: 2, batch: 2}}
protocol: {{primary: {{metric: dice, structure: organ}}}}
register_as: planted-organ
"""


def case(folder: Path, datasets: list, affine: np.ndarray, shape: tuple[int, int, int]) -> list[str]:
    """One case, its folder, its files and all that stands in them naming people. Returns what its NIfTI holds."""
    for number, ds in enumerate(datasets):
        path = folder / "image" / f"{number}{FILE_NAME}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pydicom.dcmwrite(path, ds, enforce_file_format=True)
    organ = np.zeros(shape, np.uint8)
    organ[tuple(slice(n // 4, n // 2 + 1) for n in shape)] = 1
    return planted_nifti(folder / FILE_NAME.replace(".dcm", ".nii.gz"), organ, RAS_TO_LPS @ affine)


@pytest.fixture
def study(tmp_path):
    """A study of four MR series and four ultrasound films, all full of names, one film cut short; and every name."""
    tokens = {*IDENTIFIERS, FOLDER}
    for number in range(4):
        array, affine = texture((20, 18, 4), number), oblique((1.0, 1.0, 2.0))
        series = [into(ds) for ds in slices(array, affine)]
        tokens |= set(case(tmp_path / "mr" / f"{FOLDER}{number}", series, affine, array.shape))
        shape = (COLUMNS, ROWS, FRAMES)
        films = [planted(number)]
        tokens |= set(case(tmp_path / "us" / f"{FOLDER}{number}", films, np.diag([0.2, 0.2, 1.0, 1.0]), shape))
    for modality in ("mr", "us"):
        text = DATASET.format(name=f"planted-{modality}", modality=modality.upper(), root=tmp_path / modality)
        (tmp_path / f"planted-{modality}.yaml").write_text(text)
    film = max((tmp_path / "us").rglob("*.dcm"))
    film.write_bytes(film.read_bytes()[:-9000])
    path = tmp_path / "planted.yaml"
    path.write_text(STUDY.format(folder=tmp_path))
    assert survivors(tmp_path / "mr", tmp_path / "us", tokens=tuple(tokens)) == tokens
    return path, tuple(tokens)


def xmed(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code of a command, and all that it said, log and tracebacks included."""
    patience = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600"}  # on a machine that does other work
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    environment = {**ours, **patience, "XMED_HOME": str(home), "PYTHONPATH": str(ROOT)}
    asked = [sys.executable, "-m", "xmed.cli.main", *arguments, "--debug"]
    done = subprocess.run(asked, env=environment, cwd=home.parent, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_no_identifier_survives_a_whole_run_a_prediction_and_a_fault(study, tmp_path, prefect_database):
    path, tokens = study
    home, film = tmp_path / "home", min((tmp_path / "us").rglob("*.dcm"))
    give_prefect_database(home, prefect_database)
    ran = xmed(home, "run", str(path))
    assert ran[0] in (0, 1), ran[1]
    below = {folder.name for folder in home.iterdir()}
    assert below >= {"store", "runs", "mlflow.db", "mlartifacts", "prefect", "quarantine"}
    (refusal,) = (home / "quarantine" / "planted-us").iterdir()
    assert "DICOM_TRUNCATED" in refusal.read_text()
    assert survivors(home, said=ran[1], tokens=tokens) == set()

    predicted = xmed(home, "predict", "models:/planted-organ/1", str(film), "-o", str(tmp_path / "organ.nii.gz"))
    assert predicted[0] == 0, predicted[1]
    (home / "mlflow.db").write_bytes(b"no database " * 999)
    for database in home.glob("mlflow.db-*"):
        database.unlink()
    fault = xmed(home, "models")
    assert (fault[0], "Traceback" in fault[1]) == (3, True), fault[1]
    assert list((home / "logs").iterdir())
    said = predicted[1] + fault[1]
    assert survivors(home, tmp_path / "organ.nii.gz", said=said, tokens=tokens) == set()
