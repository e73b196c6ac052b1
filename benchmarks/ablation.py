"""Ablate: bridge with one of its parts taken away at a time, on shipped studies, over seeds.

    OMP_NUM_THREADS=1 XMED_HOME=WORK XMED_DATA=DATA python benchmarks/ablation.py STUDY[,STUDY…] [--seeds 0,1,2] [--table]

Each cell is a run with an adapted arm alone, trained and scored as `xmed run` does; cells that WORK/ablation.json has are
kept, so that it can be stopped and begun again. Nothing is chosen by these scores. --table: only write the table of
what is there. The result is written to reports/benchmarks/ablation.md.
"""

import argparse
import json
import os
import platform
import statistics
from pathlib import Path

import torch

from xmed import __version__, cohort, evaluate, train
from xmed.files.atomic import write_atomically
from xmed.phantom import write_patients
from xmed.run import Run, home
from xmed.spec import MethodSpec, Study, load_dataset, load_study

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
WITHOUT = {
    "bridge, whole": {},
    "one round of self-training": {"rounds": 1},
    "no self-training": {"weight": 0},
    "teacher without statistics of its own": {"own_statistics": False},
    "no random convolutions (GIN)": {"gin": 0},
    "small volumes never enlarged": {"enlarge": False},
    "generic renderings in place of the target's physics (synth)": None,
}


def cell(study: Study, without: dict | None, seed: int) -> dict[str, float]:
    """Mean Dice over the test patients of each structure; a missing or empty prediction counts 0."""
    method = MethodSpec(name="synth") if without is None else MethodSpec(**study.method.model_dump() | without)
    run = Run.create(study.model_copy(update={"method": method, "seeds": [seed]}), home())
    train.fit(run, "adapted", seed, home())
    rows = [row for row in evaluate.evaluate(run, home()) if row.arm == "adapted"]
    return {name: statistics.mean(row.dice or 0 for row in rows if row.structure == name) for name in study.structures}


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """found: study → "part, seed" → structure → Dice."""
    lines = []
    for study, cells in found.items():
        structures = list(next(iter(cells.values())))
        lines += [f"## {study}", ""]
        head = " | ".join(f"{name}, mean | each seed | against the whole" for name in structures)
        lines += [f"| | {head} |", "|---" * (1 + 3 * len(structures)) + "|"]
        for part in WITHOUT:
            seeds = [seed for seed in range(10) if f"{part}, {seed}" in cells]
            columns = []
            for name in structures if seeds else []:
                each = [cells[f"{part}, {seed}"][name] for seed in seeds]
                whole = {seed: cells.get(f"bridge, whole, {seed}", {}).get(name) for seed in seeds}
                change = [dice - whole[seed] for seed, dice in zip(seeds, each) if whole[seed] is not None]
                shown = ", ".join(f"{dice:.3f}" for dice in each)
                columns.append(f"{statistics.mean(each):.3f} | {shown} | {statistics.mean(change or [0]):+.3f}")
            lines += [f"| {part} | {' | '.join(columns)} |"] if columns else []
        lines += [""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    kept = home() / "ablation.json"
    found: dict = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in [] if asked.table else map(int, asked.seeds.split(",")):
        for name in asked.studies.split(","):
            study = load_study(name)
            for dataset in (study.source, study.target):
                cohort.ingest_cases(
                    load_dataset(dataset), home(), generate=lambda spec, folder: write_patients(spec, folder, None)
                )
            for part, without in WITHOUT.items():
                cells = found.setdefault(name, {})
                if f"{part}, {seed}" not in cells:
                    cells[f"{part}, {seed}"] = cell(study, without, seed)
                    write_atomically(kept, json.dumps(found, indent=1))
                    print(name, part, seed, cells[f"{part}, {seed}"], flush=True)  # noqa: T201
    said = (
        f"# What carries bridge\n\n{' '.join(__doc__.split('    OMP')[0].split(': ', 1)[1].split())}\nDice over the test "
        "patients (a missing prediction counts 0). Differences below what seeds do by themselves say nothing.\n\n"
        f"{table(found)}\nxmed {__version__}, torch {torch.__version__}, python {platform.python_version()}, CPU.\n"
    )
    (BENCHMARKS / "ablation.md").write_text(said)
    (BENCHMARKS / "ablation.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
