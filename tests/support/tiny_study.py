"""A study of phantoms of few patients, with four training steps: the whole main job in half a minute."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.checkout import ROOT

DATASET = """
name: tiny-{modality}
modality: {MODALITY}
root: {root}/{modality}
layout: {{image: "{{case}}/image", label: "{{case}}/label.nii.gz"}}
labels:
  1: {{name: prostate, category: "123037004", type: "41216001"}}
  2: {{name: bladder, category: "123037004", type: "89837001"}}
  3: {{name: rectum, category: "123037004", type: "34402009"}}
phantom: {{modality: {MODALITY}, patients: 4, seed: {seed}}}
splits: {{train: [{people[0]}, {people[1]}], test: [{people[2]}, {people[3]}]}}
"""
STUDY = """
name: tiny
source: {folder}/tiny-mr.yaml
target: {folder}/tiny-us.yaml
structures: [prostate]
grid: {{spacing_mm: [4.8, 4.8, 6.0], patch: [32, 32, 1]}}
network: {{name: unet, channels: [4, 8, 8]}}
method: {{name: gin}}
budget: {{steps: 4, batch: 2}}
robustness: false
protocol: {{primary: {{metric: dice, structure: prostate}}}}
register_as: tiny-prostate
"""


def write(folder: Path, root: Path) -> Path:
    """The specs below `folder`, whose phantoms are written below `root`; returns the study's file."""
    folder.mkdir(parents=True, exist_ok=True)
    for modality, seed in (("mr", 1), ("us", 2)):
        upper = modality.upper()
        people = [f"PHANTOM-{upper}{seed}-{number:02d}" for number in range(1, 5)]
        text = DATASET.format(modality=modality, MODALITY=upper, root=root, seed=seed, people=people)
        (folder / f"tiny-{modality}.yaml").write_text(text)
    path = folder / "tiny.yaml"
    path.write_text(STUDY.format(folder=folder))
    return path


def command(*words: str) -> list[str]:
    """`xmed WORDS` as its own process."""
    return [sys.executable, "-m", "xmed.cli.main", *words]


def surroundings(home: Path | str, **more: str) -> dict[str, str]:
    """An environment in which only this home is known."""
    left_out = ("MLFLOW_", "PREFECT_", "XMED_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "XMED_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def run(home: Path | str, *words: str, seconds: float = 300, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command of `xmed` in a home, and wait for it."""
    environment = surroundings(home, **options.pop("environment", {}))  # type: ignore[arg-type]
    return subprocess.run(
        command(*words), env=environment, capture_output=True, text=True, timeout=seconds, check=False, **options
    )  # type: ignore[call-overload,no-any-return]
