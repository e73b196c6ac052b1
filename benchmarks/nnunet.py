"""Nnunet: nnU-Net's own recipe on shipped studies, beside our arms, judged on the same patients.

    python -m venv PEER && PEER/bin/pip install . nnunetv2==2.8.1
    OMP_NUM_THREADS=1 nnUNet_def_n_proc=1 XMED_HOME=HOME XMED_DATA=DATA \
        PEER/bin/python benchmarks/nnunet.py WORK_FOLDER STUDY[=RUN_FOLDER] … [--table]

Its own are plan, network (2d), normalisation, augmentation, loss, optimiser, schedule, sliding window and mirroring at
test time. Ours are the cases, the grid, the number of steps and of patches in a batch, one thread, the seed. It reads
what our nets see, volumes on the study's grid, grey values clipped to the 1st and 99th percentile (CT: to a window) and
normalised, so that what differs is the recipe; its own z-score comes on top. It trains on all training cases (fold
`all`), and its last weights are taken. Its label maps are carried to the scanner's grid, reduced to the largest piece of
each structure where the study says that there is but one (one column keeps all), and compared with the test labels by
our Dice. Its recipe is made for 250,000 steps, not for a study's few hundred: read it beside its own ceiling. Seconds
are of a training; of the processor, finished child processes included. Our arms are those of RUN_FOLDER (`xmed run STUDY
--seeds 0`), without one those that reports/benchmarks/STUDY.json has of seed 0. What is finished in WORK_FOLDER is kept;
--table: of nnU-Net only what is finished. Results: reports/benchmarks/nnunet.*
"""

import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json
from nnunetv2.experiment_planning import plan_and_preprocess_api as planning
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from run_table import BENCHMARKS, number, rows_of

from xmed import metrics
from xmed.cohort import Case, Cohort, ingest_cases
from xmed.evaluate import judged
from xmed.files.atomic import write_atomically
from xmed.io import write_nifti
from xmed.prepare import Sample, make_sample, resample_to, window_of
from xmed.prepare.study_samples import load_samples, reference_labels
from xmed.processes.processor import cpu
from xmed.run import home
from xmed.spec import Study, load_dataset, load_study
from xmed.tasks import largest_components
from xmed.volume import Volume

SEED, EPOCHS, CEILING, TABLE = 0, 50, "target_supervised", "--table"
"""An epoch is where nnU-Net's learning rate falls and its progress is drawn; the number of steps is the study's."""
PACKAGES = ("nnunetv2", "dynamic-network-architectures", "batchgeneratorsv2", "torch", "numpy", "monai", "xmed")
DG_TTA = """Tried (dg-tta 1.0.18 from PyPI, November 2026), not compared: by its defaults, three members of 12 epochs
of 16 patches for each scan, it takes about 43 processor minutes of one thread per scan here, some 4 hours for six, and
25 minutes were the limit. Measured on a 56 × 48 × 48 patch of ibsi-mr-to-pet: 1.6 s for a patch without, 4.7 s with a
gradient, so 3 × (16 × 1.6 + 176 × 4.7) s. Nothing in it asks for a GPU (`run_tta --device cpu`). Its trainers are
written for nnunetv2 2.2: 2.8.1, which its pin allows, has other signatures (read, not run). With 2.2.1, torch 2.13 and
numpy 2.4 these were in the way, and got round for the measurement: `PolyLRScheduler` hands torch an argument that is
gone, `wandb` 0.16 wants `np.float_` (uninstalled; it is optional), checkpoints load only with
TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1, and training with nnUNet_n_proc_DA=0 fails after its last step, its checkpoint
written. Its pre-trained weights are to be fetched from the internet and were not used; the net measured was hardly
trained. No Dice of it was computed. (Weihsbach et al., arXiv:2312.06275)"""
T = TypeVar("T")


def timed(of: str, work: Callable[[], T], record: dict) -> T:
    """What `work` makes; into `record` go seconds of the processor, finished child processes included, and of the wall."""
    cpu, wall = sum(os.times()[:4]), time.monotonic()
    made = work()
    cpu, wall = sum(os.times()[:4]) - cpu, time.monotonic() - wall
    record |= {f"{of}_cpu_seconds": round(cpu, 1), f"{of}_wall_seconds": round(wall, 1)}
    record["load_average"] = round(os.getloadavg()[1], 1)
    return made


def seen(case: Case, cohort: Cohort, study: Study) -> Sample:
    """A case without its label, as our net sees it."""
    return make_sample(case.id, cohort.image(case), study.grid, window_of(cohort.spec.modality, cohort.spec.window))


def lay_out(one: Sample, images: Path, labels: Path | None = None) -> Path:
    """A case as the NIfTI that nnU-Net expects: one channel, and the label map where it is to be learned from."""
    path = images / f"{one.case}_0000.nii.gz"
    write_nifti(Volume(one.image, one.grid.affine), path)
    if labels:
        write_nifti(Volume(one.reference, one.grid.affine), labels / f"{one.case}.nii.gz")
    return path


def plan(cohort: Cohort, study: Study) -> Path:
    """The training cases of a cohort, planned and preprocessed by nnU-Net: the folder that it trains from."""
    name = f"Dataset001_{cohort.spec.name}"
    raw, cases = Path(nnUNet_raw) / name, load_samples(cohort, study, ["train"], labelled=True)
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True, exist_ok=True)
    for one in cases:
        lay_out(one, raw / "imagesTr", raw / "labelsTr")
    labels = {"background": 0} | {structure: value for value, structure in enumerate(study.structures, 1)}
    # The channel's name chooses the normalisation: any but CT is z-scored, case by case.
    generate_dataset_json(str(raw), {0: "normalised"}, labels, len(cases), ".nii.gz", license=cohort.spec.licence)
    os.environ.update(nnUNet_n_proc_DA="1")  # the planner asks for a thread
    planning.extract_fingerprints([1], num_processes=1)
    planning.plan_experiments([1])
    planning.preprocess([1], configurations=["2d"], num_processes=[1])
    return Path(nnUNet_preprocessed) / name


def learn(folder: Path, batch: int, steps: int) -> nnUNetTrainer:
    """nnU-Net's own trainer after so many steps, its patches made in this thread."""
    os.environ.update(nnUNet_n_proc_DA="0")
    plans, dataset = (json.loads((folder / name).read_text()) for name in ("nnUNetPlans.json", "dataset.json"))
    plans["configurations"]["2d"]["batch_size"] = batch
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 -- it draws from the global generators
    torch.manual_seed(SEED)
    trainer = nnUNetTrainer(plans | {"continue_training": False}, "2d", "all", dataset, torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch = EPOCHS, steps // EPOCHS
    trainer.num_val_iterations_per_epoch = 1  # on training cases: a line in its log, nothing is chosen by it
    trainer.run_training()
    return trainer


def draw(trainer: nnUNetTrainer, cohort: Cohort, study: Study, folder: Path) -> dict[str, np.ndarray]:
    """Label maps of the test cases on the net's grid, by nnU-Net's predictor with its defaults."""
    predictor, its = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False), trainer
    its.set_deep_supervision_enabled(False)
    predictor.manual_initialization(
        its.network.eval(), its.plans_manager, its.configuration_manager, [its.network.state_dict()],
        its.dataset_json, type(its).__name__, its.inference_allowed_mirroring_axes,
    )  # fmt: skip
    read = its.plans_manager.image_reader_writer_class().read_images
    paths = {case.id: lay_out(seen(case, cohort, study), folder) for case in judged(cohort)}
    return {case: predictor.predict_single_npy_array(*read([str(path)])).T for case, path in paths.items()}


def score(found: dict[str, np.ndarray], cohort: Cohort, study: Study) -> list[dict]:
    """A row for each test case and structure, on the scanner's grid; an empty prediction counts 0."""
    rows = []
    for case in judged(cohort):
        volume, known = cohort.image(case), reference_labels(cohort, case, study).array
        drawn = Volume(found[case.id].astype(np.uint8), seen(case, cohort, study).grid.affine, volume.frame)
        label = resample_to(drawn, volume, labels=True).array
        kept = largest_components(label) if study.task.largest_component else label
        for value, structure in enumerate(study.structures, 1):
            dice, pieces = (metrics.dice(one == value, known == value, volume.spacing) or 0.0 for one in (kept, label))
            rows.append({"case": case.id, "structure": structure, "dice": dice, "dice_all_pieces": pieces})
    return rows


def theirs(arm: str, learned: Cohort, study: Study, target: Cohort, work: Path) -> dict:
    """One training of nnU-Net on the labels of a cohort, and its rows. A finished one is read."""
    folder = work / study.name / arm
    if (folder / "arm.json").is_file():
        return json.loads((folder / "arm.json").read_text())
    if TABLE in sys.argv:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    record: dict = {}
    planned = timed("prepare", lambda: plan(learned, study), record)
    trainer = timed("train", lambda: learn(planned, study.budget.batch, study.budget.steps), record)
    found = timed("predict", lambda: draw(trainer, target, study, folder), record)
    record["parameters"] = sum(p.numel() for p in trainer.network.parameters())
    record |= {"patch": trainer.configuration_manager.patch_size, "rows": score(found, target, study)}
    write_atomically(folder / "arm.json", json.dumps(record, indent=1))
    return record


def ours(study: Study, folder: str) -> tuple[dict[str, dict], str]:
    """Arm → its rows of our seed, with the wall seconds of its training where the run is at hand; and whence."""
    published = json.loads((BENCHMARKS / f"{study.name}.json").read_text(encoding="utf-8"))
    arms: dict[str, dict] = {}
    for row in rows_of(Path(folder)) if folder else published["rows"]:
        if row["seed"] in (SEED, None):
            name = f"xmed, {study.method.name if row['arm'] == 'adapted' else row['arm']}"
            arms.setdefault(name, {"rows": []})["rows"].append(row)
            trained = Path(folder) / "arms" / row["arm"] / f"seed{SEED}" / "train.json"
            if folder and trained.is_file():
                arms[name]["train_wall_seconds"] = json.loads(trained.read_text(encoding="utf-8"))["seconds"]
    made = published["environment"]
    before = f"reports/benchmarks/{study.name}.json, of another day (git {made['git']}, {made['cpu']})"
    return arms, "a run made for this table" if folder else before


def table(arms: dict[str, dict]) -> list[str]:
    head = "| | Dice, mean of the cases | each case | all pieces kept | processor seconds | wall seconds |"
    lines = [head, "|---" * 6 + "|"]
    for arm in arms.values():
        arm["dice"] = float(np.mean([row["dice"] or 0.0 for row in arm["rows"]]))
    for name, arm in sorted(arms.items(), key=lambda item: -item[1]["dice"]):
        each = ", ".join(number(row["dice"] or 0.0) for row in arm["rows"])
        seconds = " | ".join(number(arm.get(f"train_{key}_seconds"), 0) for key in ("cpu", "wall"))
        pieces = [row["dice_all_pieces"] for row in arm["rows"] if "dice_all_pieces" in row]
        whole = number(float(np.mean(pieces)) if pieces else None)
        lines.append(f"| {name} | {number(arm['dice'])} | {each} | {whole} | {seconds} |")
    return lines


def compare(asked: str, work: Path) -> tuple[str, dict, list[str]]:
    """STUDY[=RUN_FOLDER] → the study's name, its part of nnunet.json, and of nnunet.md."""
    study = load_study(asked.partition("=")[0])
    source, target = (ingest_cases(load_dataset(name), home()) for name in (study.source, study.target))
    made = {arm: theirs(arm, n, study, target, work) for arm, n in {"source_only": source, CEILING: target}.items()}
    known, whence = ours(study, asked.partition("=")[2])
    arms = {f"nnU-Net, {arm}": record for arm, record in made.items() if record} | known
    loads = ", ".join(f"{record['load_average']:.0f}" for record in made.values() if record)
    about = f"Seed {SEED}, {study.budget.steps} steps × {study.budget.batch}. Our rows: {whence}. "
    about += f"Wall seconds say little: other work ran (load average at the end of nnU-Net's arms: {loads})."
    return study.name, {"budget": study.budget.model_dump(), "arms": arms}, [f"## {study.name}", about, *table(arms)]


def main() -> None:
    torch.set_num_threads(1)
    found = [compare(asked, Path(sys.argv[1])) for asked in sys.argv[2:] if asked != TABLE]
    where = {"cpu": cpu(), "cores": os.cpu_count(), "threads": 1, "python": platform.python_version()}
    where |= {name: version(name) for name in PACKAGES}
    sections = [block for _, _, lines in found for block in (*lines[:2], "\n".join(lines[2:]))]
    machine = f"Machine: {', '.join(f'{key} {value}' for key, value in where.items())}."
    said = __doc__.split("[--table]", 1)[1].strip()
    text = "\n\n".join(["# Nnunet", said, *sections, "## DG-TTA", DG_TTA, machine])
    (BENCHMARKS / "nnunet.md").write_text(text + "\n", encoding="utf-8")
    document = {"seed": SEED, "studies": {name: part for name, part, _ in found}, "where": where}
    (BENCHMARKS / "nnunet.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
