"""One small run that was trained and evaluated honestly and failed, and forgeries of the files in its folder."""

import json
import shutil
from pathlib import Path

import numpy as np

from xmed import report as reports, train
from xmed.cohort import ingest_cases, load_cohort, summarise_cohorts
from xmed.evaluate import evaluate
from xmed.files.atomic import write_atomically
from xmed.files.digest import array_digest, digest, file_digest, folder_digest
from xmed.io import write_nifti
from xmed.run import Run
from xmed.spec import DatasetSpec, Study
from xmed.volume import Volume

SHAPE, SPACING = (24, 24, 6), (1.0, 1.0, 2.0)
NAME = "forged"
FORGED = {
    "source_only": 0.2,
    "adapted": 0.93,
    "target_supervised": 0.95,
    "trivial_threshold": 0.3,
    "trivial_position": 0.3,
}
STUDY = {
    "name": "balls", "source": "bright", "target": "dark", "structures": ["ball"],
    "grid": {"spacing_mm": [1, 1, 2], "patch": [24, 24, 1]}, "network": {"channels": [4, 8, 8]},
    "method": {"name": "gin"}, "budget": {"steps": 3, "batch": 2}, "register_as": NAME, "robustness": False,
    "protocol": {"primary": {"structure": "ball"}, "accept": {"gap_closed": 0.6, "gain_over_trivial": 0.0, "dice": 0.5}},
}  # fmt: skip


def cohort(folder, home, name, modality, bright, first, labelled=True):
    """Balls on noise, some of them to learn from and four to be judged on."""
    splits = {"train": ["a", "b", "c"], "test": ["e", "f", "g", "h"]}
    for n, case in enumerate([case for cases in splits.values() for case in cases]):
        random = np.random.default_rng(first + n)
        centre = np.array([12, 12, 3]) + random.uniform(-2, 2, 3) * (1, 1, 0.3)
        apart = np.linalg.norm((np.moveaxis(np.indices(SHAPE), 0, -1) - centre) * SPACING, axis=-1)
        mask = (apart < 5).astype(np.uint8)
        image = (random.normal(100, 12, SHAPE) + bright * 40.0 * mask).astype(np.float32)
        for kind, array in (("image", image), ("label", mask)):
            path = folder / name / kind / f"{name}-{case}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_nifti(Volume(array, np.diag([*SPACING, 1.0])), path)
    document = {
        "name": name, "modality": modality, "root": str(folder / name),
        "splits": {split: [f"{name}-{case}" for case in cases] for split, cases in splits.items()},
        "labels": {1: {"name": "ball"}}, "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"},
    }  # fmt: skip
    ingest_cases(DatasetSpec.model_validate(document), home)


def honest(folder: Path, steps=3) -> tuple[Path, Run]:
    """A home with one run, as `xmed run` leaves it before it is registered; its verdict is fail."""
    home = folder / "home"
    cohort(folder, home, "bright", "MR", 1, 0)
    cohort(folder, home, "dark", "PT", -1, 50)
    run = Run.create(Study.model_validate({**STUDY, "budget": {"steps": steps, "batch": 2}}), home)
    run.write(summarise_cohorts(load_cohort("bright", home), load_cohort("dark", home)))
    for arm in ("source_only", "target_supervised", "adapted"):
        train.fit(run, arm, 0, home)
    train.promote(run, home)
    evaluate(run, home)
    run.write("environment", {"xmed": "0", "python": "3.11", "platform": "Linux", "command": "xmed run", "git": None})
    run.write("errors", [])
    reports.write_report(run)
    return home, run


def edit(path: Path, change) -> None:
    """A JSON document after `change`, which alters it in place or returns another."""
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(document) or document, indent=1) + "\n", encoding="utf-8")


def better_rows(run: Run, **only) -> None:
    """Every arm's rows with the Dice that somebody would like to see."""

    def change(rows):
        for row in rows:
            value = {**FORGED, **only}[row["arm"]]
            if value is not None:
                row |= {
                    "dice": value + 0.01 * (hash(row["case"]) % 3 - 1),
                    "nsd": value,
                    "status": "ok",
                    "failed": False,
                    "reason": "",
                }

    edit(run.folder / "rows.json", change)


def promoted(run: Run) -> None:
    """A selection that says that adapted won."""

    def change(selection):
        for seed in selection["seeds"].values():
            seed |= {"better": ["adapted"], "chosen": "adapted", "adapt": True, "reason": "adapted keeps every guard"}
        selection |= {"promoted": True, "reason": "adapted keeps every guard"}

    edit(run.folder / "selection.json", change)


def nearly(truth, kept):
    """The reference but for some voxels, as many as its size would have it: no two cases are alike."""
    label = truth.copy()
    inside = np.flatnonzero(label)
    label.ravel()[inside[: 1 + len(inside) % 17]] = 0
    return label


def drawn(run: Run, home: Path, arm: str, seed: int = 0, which=None, cases=None) -> None:
    """Kept predictions of one arm replaced, with rows and digests that fit them."""
    from xmed.evaluate.evaluate_run import ArmEvaluator

    target = load_cohort(run.study.target, home)
    bench, path = ArmEvaluator.of(run, target), run.arm(arm, seed) / "labels.npz"
    with np.load(path) as file:
        maps = {name: file[name] for name in file.files}
    rows = run.read("rows")
    for case in bench.cases[:cases]:
        against = bench.reference(case)
        label = (which or nearly)(against.reference.array.astype(np.uint8), maps[f"case.{case.id}"]).astype(np.uint8)
        maps[f"case.{case.id}"] = label
        for row in rows:
            if (row["arm"], row["seed"], row["case"]) == (arm, seed, case.id):
                row |= {**against.row(arm, seed, 1, label), "prediction_sha256": array_digest(label)}
    np.savez_compressed(path, **maps)
    run.write("rows", rows)


def copy(home: Path, run: Run, into: Path) -> tuple[Path, Run]:
    """The same home and run elsewhere, for one forgery."""
    shutil.copytree(home, into / "home")
    return into / "home", Run(into / "home" / "runs" / run.id)


__all__ = [
    "FORGED",
    "NAME",
    "better_rows",
    "copy",
    "digest",
    "drawn",
    "edit",
    "file_digest",
    "folder_digest",
    "honest",
    "promoted",
    "write_atomically",
]
