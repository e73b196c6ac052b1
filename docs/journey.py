"""The whole journey in plain Python: images come in, a model is trained, adapted, validated and reported.

    python docs/journey.py FOLDER

Two phantoms (synthetic MR and ultrasound) stand for the data of a hospital, and a training of a few steps stands for
one of some hundred: the numbers mean nothing, the steps are those of every study. No Prefect is needed. Everything is
written below FOLDER.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import xmed

DATASET = """\
name: {name}
modality: {modality}
root: {folder}/data/{name}
layout: {{image: "{{case}}/image", label: "{{case}}/label.nii.gz"}}
labels:
  1: {{name: prostate, category: "123037004", type: "41216001"}}
  2: {{name: bladder, category: "123037004", type: "89837001"}}
  3: {{name: rectum, category: "123037004", type: "34402009"}}
phantom: {{modality: {modality}, patients: {patients}, seed: {seed}}}
splits: {{train: {train}, test: {test}}}
"""
STUDY = """\
name: journey
source: {folder}/clinic-mr.yaml
target: {folder}/clinic-us.yaml
structures: [prostate]
grid: {{spacing_mm: [4.8, 4.8, 6.0], patch: [32, 32, 1]}}
network: {{name: unet, channels: [4, 8, 8]}}
method: {{name: gin}}
budget: {{steps: 4, batch: 2}}
robustness: false
protocol: {{primary: {{metric: dice, structure: prostate}}}}
register_as: journey-prostate
"""


@dataclass(frozen=True)
class Journey:
    """What the journey leaves behind. folder: with the specs; model: of the adapted arm; report, validation: pages."""

    folder: Path
    home: xmed.Home
    study: Path
    run: xmed.Run
    model: Path
    report: Path
    validation: Path


def write_dataset(folder: Path, name: str, modality: str, seed: int, train: int, test: int) -> Path:
    """Write the spec of a phantom with so many patients to train and to test; its images are made at ingest."""
    patients = [f"PHANTOM-{modality}{seed}-{number:02d}" for number in range(1, train + test + 1)]
    split = {"train": patients[:train], "test": patients[train:]}
    text = DATASET.format(name=name, modality=modality, folder=folder, seed=seed, patients=train + test, **split)
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def write_specs(folder: Path) -> Path:
    """Write the specs of source, target, an external dataset and the study; returns the study's file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_dataset(folder, "clinic-mr", "MR", seed=1, train=2, test=0)
    write_dataset(folder, "clinic-us", "US", seed=2, train=2, test=1)
    write_dataset(folder, "other-clinic-us", "US", seed=3, train=0, test=1)
    study = folder / "journey.yaml"
    study.write_text(STUDY.format(folder=folder), encoding="utf-8")
    return study


def journey(folder: Path) -> Journey:
    """Go the whole way below `folder`."""
    study, home = write_specs(folder), xmed.Home(folder / "home")
    with home.in_use():
        result = xmed.adapt(str(study))  # ingest, train, adapt, select, validate, report, register
        run = xmed.Run.find(result["run"], home.folder)
        model = run.arm("adapted", seed=0) / "model"
        validation = xmed.validate(str(model), str(folder / "other-clinic-us.yaml"))  # on patients of another clinic
    return Journey(folder, home, study, run, model, Path(result["report"]), Path(validation["report"]))


if __name__ == "__main__":
    outcome = journey(Path(sys.argv[1]).absolute())
    sys.stdout.write(f"{outcome.report}\n{outcome.validation}\n")
