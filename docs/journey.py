"""The whole journey in plain Python: images come in, a model is trained, adapted, validated and reported.

    python docs/journey.py FOLDER

Two phantoms (synthetic MR and ultrasound) stand for the data of a hospital, and a training of a few steps stands for
one of some hundred: the numbers mean nothing, the steps are those of every study. No Prefect is needed. Everything is
written below FOLDER.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import xmed
from xmed import cohort, evaluate, phantom, report, train
from xmed.app.environment import environment, errors

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
    """What the journey leaves behind.

    folder: with the specs. model: the folder of the adapted model. page: of the report. problems: what of the report
    differs from the run's files; nothing, if all is well.
    """

    folder: Path
    home: xmed.Home
    study: Path
    run: xmed.Run
    model: Path
    page: Path
    problems: tuple[str, ...]


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
    """Go the whole way below `folder`; `xmed.adapt` does the same, and registers the model, too."""
    started, study_file, home = datetime.now(UTC), write_specs(folder), xmed.Home(folder / "home")
    with home.in_use():
        study = xmed.load_study(study_file)
        source, target = (
            cohort.ingest_cases(xmed.load_dataset(name), home.folder, generate=phantom.write_patients)
            for name in (study.source, study.target)
        )
        run = xmed.Run.create(study, home.folder)  # fixes and hashes the protocol
        run.write(cohort.summarise_cohorts(source, target))
        train.fit(run, "source_only", 0, home.folder)  # the baseline, which the method may begin with
        train.fit(run, "adapted", 0, home.folder)  # the method of the study
        train.promote(run, home.folder)  # without labels: may the adapted model become a candidate?
        evaluate.evaluate(run, home.folder)  # here, and not before, the labels of the test patients are read
        run.write(environment(run, started))
        run.write(errors(run))
        page = report.write_report(run)
    return Journey(
        folder, home, study_file, run, run.arm("adapted", 0) / "model", page, tuple(report.verify_report(run.folder))
    )


if __name__ == "__main__":
    outcome = journey(Path(sys.argv[1]).absolute())
    sys.stdout.write(f"{outcome.page}\n")
