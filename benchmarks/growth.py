"""Growth: seconds that each part of a study takes with 10, 100 and 1,000 cases, and the slopes.

    OMP_NUM_THREADS=1 PYTHONPATH=tests python benchmarks/growth.py WORK [--cases 10 100 1000]

Generated NIfTI cases of 32×32×16 voxels, each a patient of its own, and a network of 4, 8 and 8 channels, so that what
grows with the number of cases is not hidden by what grows with the number of voxels. Each number is a process of its
own. Seconds are of the wall clock, in brackets those of the processor; the readers of an ingest are processes that stay,
so their processor time is not among them. The slope is that of log seconds over log cases between the two largest
numbers: 1 is linear, 0 does not grow. The result is written to reports/benchmarks/growth.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from support import evaluated_runs, registrable_runs
from xmed import report
from xmed.cohort import ingest_cases
from xmed.io import write_nifti
from xmed.methods.source_only import SourceOnly
from xmed.model.deployed import Model
from xmed.model.prediction import segment
from xmed.networks import build_network
from xmed.prepare import Augmentation, Sampler
from xmed.prepare.study_samples import load_samples
from xmed.processes.processor import cpu
from xmed.registry import register
from xmed.spec import Budget, DatasetSpec, GridSpec, NetworkSpec, Study
from xmed.train.loop import train
from xmed.volume import Volume

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
SHAPE, PATCH, BATCH = (32, 32, 16), (32, 32, 1), 10
NETWORK = NetworkSpec(channels=[4, 8, 8])


class Clock:
    """Seconds of the processor and of the wall of each part, by its name."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        used, began = self._cpu(), time.perf_counter()
        yield
        self.parts[name] = {"cpu_s": self._cpu() - used, "wall_s": time.perf_counter() - began}

    @staticmethod
    def _cpu() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)


def make_cases(root: Path, count: int) -> DatasetSpec:
    """Write `count` images with a bright block at a place of its own, and their label maps."""
    random = np.random.default_rng(0)
    for number in range(count):
        image, label = random.normal(100, 10, SHAPE).astype(np.float32), np.zeros(SHAPE, np.uint8)
        i, j, k = (int(random.integers(2, size // 2)) for size in SHAPE)
        label[i : i + 10, j : j + 10, k : k + 6] = 1
        for kind, array in (("image", image + 60 * label), ("label", label)):
            path = root / kind / f"c{number:05d}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_nifti(Volume(array, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return DatasetSpec.model_validate({
        "name": "growth", "modality": "MR", "licence": "CC0-1.0", "source": "generated", "root": str(root),
        "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"},
        "labels": {1: {"name": "block", "category": "123037004", "type": "123037004"}},
        "splits": {"train": [f"c{n:05d}" for n in range(count)]},
    })  # fmt: skip


def one(work: Path, count: int) -> dict[str, dict[str, float]]:
    """Measure every part with so many cases."""
    torch.set_num_threads(1)
    shutil.rmtree(work, ignore_errors=True)
    home, clock = work / "home", Clock()
    spec = make_cases(work / "data", count)
    with clock.part("ingest"):
        cohort = ingest_cases(spec, home)
    with clock.part("ingest again, unchanged"):
        ingest_cases(spec, home)
    study = Study.model_validate({
        "name": "growth", "source": "growth", "target": "growth", "structures": ["block"],
        "grid": {"spacing_mm": [1, 1, 2], "patch": list(PATCH)}, "method": {"name": "source_only"},
        "protocol": {"primary": {"metric": "dice", "structure": "block"}}, "register_as": "growth",
    })  # fmt: skip
    with clock.part("prepare"):
        samples = load_samples(cohort, study, ["train"], labelled=True)
    model = Model(build_network(NETWORK, 2, 1, 2).eval(), study.grid, NETWORK, "MR", spec.label_table)
    method = SourceOnly(build_network(NETWORK, 2, 1, 2), model.task)
    grid = GridSpec(spacing_mm=(1, 1, 2), patch=PATCH)
    for folder in ("first", "epoch"):
        (work / folder).mkdir()
    with clock.part("first step"):
        samplers = [Sampler(samples, grid, BATCH, Augmentation(), seed, 0.5) for seed in (0, 1)]
        train(method, *samplers, Budget(steps=1, batch=BATCH), torch.device("cpu"), work / "first")
    with clock.part("epoch (a step for each ten cases)"):
        train(method, *samplers, Budget(steps=count // BATCH + 1, batch=BATCH), torch.device("cpu"), work / "epoch")
    with clock.part("predict every case"):
        for case in cohort.split("train"):
            segment(model, cohort.image(case))
    run = evaluated_runs.written(work / "run", patients=count, seeds=(0,))
    with clock.part("report"):
        report.write_report(run)
    with clock.part("verify the report"):
        if problems := report.verify_report(work / "run"):
            raise RuntimeError(problems[0])
    cases = [registrable_runs.case(number, 0.8) for number in range(count)]
    finished = registrable_runs.finished(home, cases=cases)
    with clock.part("register"):
        register(finished, home)
    shutil.rmtree(work)
    return clock.parts


def main() -> None:
    """Measure each number of cases in a process of its own and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--cases", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        sys.stdout.write(json.dumps(one(words.work / str(words.one), words.one)))
        return
    words.work.mkdir(parents=True, exist_ok=True)
    measured = {}
    for count in words.cases:
        command = [sys.executable, __file__, str(words.work), "--one", str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measured[count] = json.loads(done.stdout.splitlines()[-1])
        sys.stdout.write(f"{count}: {measured[count]}\n")
    few, many = sorted(measured)[-2:]
    lines = [
        "| | " + " | ".join(f"{count:,} cases, s" for count in measured) + " | slope |",
        "|---" * (len(measured) + 2) + "|",
    ]
    slopes = {}
    for part in measured[many]:
        seconds = [f"{measured[n][part]['wall_s']:.2f} ({measured[n][part]['cpu_s']:.2f})" for n in measured]
        ratio = measured[many][part]["wall_s"] / measured[few][part]["wall_s"]
        slopes[part] = math.log(ratio) / math.log(many / few)
        lines.append(f"| {part} | " + " | ".join(seconds) + f" | {slopes[part]:.2f} |")
    where = (
        f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    )
    text = f"# Growth\n\n{__doc__.splitlines()[0]}\n\n" + "\n".join(lines) + f"\n\nSlope: 1 is linear. {where}.\n"
    (BENCHMARKS / "growth.md").write_text(text, encoding="utf-8")
    document = {"measured": measured, "slopes": slopes, "where": where}
    (BENCHMARKS / "growth.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
