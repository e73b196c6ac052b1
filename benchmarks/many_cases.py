"""Many cases: the memory of a training on few and on many volumes, and how long its steps wait for batches.

    OMP_NUM_THREADS=1 python benchmarks/many_cases.py WORK [--cases 10 200] [--steps 40] [--shape 256 256 200]

Volumes of noise with balls of two structures are generated, prepared volumes beyond 512 MB go to the disk as in a run,
and a 3-D network is trained on patches of them. Each number of cases is a process of its own. Its memory is the largest
resident set that the kernel saw (ru_maxrss) from the first step on, and the growth over what the process had before.
The result is written to reports/benchmarks/many-cases.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from xmed.methods.source_only import SourceOnly
from xmed.networks import build_network
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.prepare.sample_cache import held_within
from xmed.prepare.stored_sample import store_sample
from xmed.processes.processor import cpu
from xmed.spec import Budget, GridSpec, NetworkSpec
from xmed.tasks import Segmentation
from xmed.train.loop import train
from xmed.train.prefetch import prefetched
from xmed.volume import Grid

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
PATCH, BATCH = (64, 64, 64), 2
CHANNELS = [16, 32, 64, 96]


def volumes(count: int, shape: tuple[int, int, int]) -> Iterator[Sample]:
    """Volumes one after the other: one texture, rolled to another place each time, with balls at places of their own."""
    random = np.random.default_rng(0)
    texture = random.normal(size=shape).astype(np.float32)
    edge = 24
    ball = np.linalg.norm(np.moveaxis(np.indices((2 * edge,) * 3), 0, -1) - edge, axis=-1) < edge
    for number in range(count):
        image = np.roll(texture, random.integers(0, shape), axis=(0, 1, 2))
        label = np.zeros(shape, np.uint8)
        for value in (1, 2):
            corner = [int(random.integers(0, size - 2 * edge)) for size in shape]
            place = tuple(slice(start, start + 2 * edge) for start in corner)
            label[place][ball] = value
        image += 1.5 * label
        yield Sample(str(number), image, np.ones(shape, bool), Grid(shape, np.diag([1.0, 1, 1, 1])), label)


def one(folder: Path, count: int, steps: int, shape: tuple[int, int, int]) -> dict[str, float]:
    """Train on `count` volumes; returns what it took."""
    torch.set_num_threads(1)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    pool = held_within(volumes(count, shape), lambda number, sample: store_sample(sample, folder / str(number)))
    prepared = time.monotonic() - began
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (proc(5))
    grid, task = GridSpec(spacing_mm=(1, 1, 1), patch=PATCH), Segmentation(("a", "b"))
    method = SourceOnly(build_network(NetworkSpec(channels=CHANNELS), 3, 1, 3), task)
    samplers = [Sampler(pool, grid, BATCH, Augmentation(), seed, 0.5) for seed in (0, 1)]
    began, used = time.monotonic(), time.process_time()
    with prefetched(*samplers) as (labelled, unlabelled):
        train(method, labelled, unlabelled, Budget(steps=steps, batch=BATCH), torch.device("cpu"), folder)
    wall = time.monotonic() - began
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    shutil.rmtree(folder)
    return {
        "cases": count,
        "raw_gb": count * float(np.prod(shape)) * 6 / 1e9,
        "on_disk_gb": stored / 1e9,
        "prepare_s": prepared,
        "peak_mib": int(peak.split()[1]) / 1024,
        "peak_with_preparation_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "s_per_step": wall / steps,
        "cpu_s_per_step": (time.process_time() - used) / steps,
        "waiting_share": (labelled.waited_s + unlabelled.waited_s) / wall,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--cases", type=int, nargs="+", default=[10, 200])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--shape", type=int, nargs=3, default=[256, 256, 200])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        sys.stdout.write(json.dumps(one(words.work / str(words.one), words.one, words.steps, tuple(words.shape))))
        return
    rows = []
    for count in words.cases:
        command = [sys.executable, __file__, str(words.work), "--one", str(count), "--steps", str(words.steps)]
        command += ["--shape", *map(str, words.shape)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout))
        sys.stdout.write(f"{rows[-1]}\n")
    shown = {
        "cases": "cases", "raw_gb": "in memory they would take, GB", "on_disk_gb": "on the disk, GB",
        "prepare_s": "made and stored, s", "peak_mib": "peak of the training, MiB",
        "peak_with_preparation_mib": "peak with preparation, MiB", "s_per_step": "s a step",
        "cpu_s_per_step": "CPU s a step", "waiting_share": "share of waiting",
    }  # fmt: skip
    lines = ["| " + " | ".join(shown.values()) + " |", "|" + "---|" * len(shown)]
    lines += ["| " + " | ".join(f"{row[key]:.4g}" for key in shown) + " |" for row in rows]
    ratio = rows[-1]["peak_mib"] / rows[0]["peak_mib"]
    where = (
        f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    )
    shape = "×".join(map(str, words.shape))
    text = (
        f"# Many cases\n\nA 3-D training (patches {PATCH[0]}³, batch {BATCH}, U-Net {CHANNELS}, {words.steps} steps) on generated "
        f"volumes of {shape}.\n\n"
        + "\n".join(lines)
        + f"\n\nThe peak on {rows[-1]['cases']} volumes is {ratio:.2f} times that "
        f"on {rows[0]['cases']}. {where}.\n"
    )
    (BENCHMARKS / "many-cases.md").write_text(text, encoding="utf-8")
    (BENCHMARKS / "many-cases.json").write_text(json.dumps({"rows": rows, "where": where}, indent=1) + "\n")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
