"""Prediction: our sliding windows against MONAI's inferer with the same weights, windows, overlap and mirrored copies.

    OMP_NUM_THREADS=1 python benchmarks/prediction.py [--shape 192 192 96]

Each way is a process of its own: processor time, time and the growth of its largest resident set. The volume is a body
of noise in air, as in a CT, and once a body that fills it. Label maps are compared by their smallest Dice. The result
is written to reports/benchmarks/prediction.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from itertools import compress, product
from pathlib import Path

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference

from xmed.labels import LabelTable, Structure
from xmed.metrics import dice
from xmed.model.deployed import Model
from xmed.model.sliding_windows import AT_ONCE
from xmed.networks import build_network
from xmed.prepare import Sample, augmentation_for
from xmed.processes.processor import cpu
from xmed.spec import GridSpec, NetworkSpec
from xmed.volume import Grid

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
STRUCTURES = LabelTable(tuple(Structure(value, name, "x", "y") for value, name in ((1, "a"), (2, "b"))))
CHANNELS = [16, 32, 64, 96]
PATCHES = {"2-D": (96, 96, 1), "3-D": (64, 64, 64)}
WAYS = ("xmed", "MONAI")


def sample(shape: tuple[int, int, int], in_air: bool) -> Sample:
    """Smooth noise; in air it fills an elliptic cylinder of 60 % of each edge in i and j."""
    random = np.random.default_rng(0)
    image = random.normal(0.5, 0.2, shape).astype(np.float32)
    if in_air:
        i, j = ((np.arange(size) - size / 2) / (0.3 * size) for size in shape[:2])
        image[(i[:, None] ** 2 + j[None] ** 2) > 1] = -1.0
    return Sample("a", image, np.ones(shape, bool), Grid(shape, np.eye(4)))


def model(dims: str) -> Model:
    network = NetworkSpec(channels=CHANNELS)
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=PATCHES[dims])
    net = build_network(network, grid.spatial_dims, 1, 3, seed=0).eval()
    return Model(net, grid, network, "CT", STRUCTURES)


def by_monai(model: Model, seen: Sample) -> np.ndarray:
    """As xmed did it before it had windows of its own: whole mirrored copies, each through MONAI's inferer."""
    stack, dims = model.stacked(seen), model.grid.spatial_dims
    flips = augmentation_for(model.modality, model.structures.names).flips[:dims]
    axes = [2 + axis for axis in compress(range(dims), flips)]
    total = torch.zeros(())
    for chosen in product((False, True), repeat=len(axes)):
        mirrored = list(compress(axes, chosen))
        out = sliding_window_inference(
            stack.flip(mirrored), model.grid.patch[:dims], AT_ONCE, lambda x: model.logits(x).softmax(1),
            overlap=0.5, mode="gaussian", cval=float(seen.image.min()),
        )  # fmt: skip
        total = total + out.flip(mirrored)
    mean = (total / 2 ** len(axes)).numpy()
    return np.ascontiguousarray(mean.transpose(1, 2, 3, 0) if dims == 2 else mean[0])


def one(way: str, dims: str, shape: tuple[int, int, int], in_air: bool, out: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    ours, seen = model(dims), sample(shape, in_air)
    ours.bfloat16  # noqa: B018 - its measurement is no part of the prediction
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, used = time.monotonic(), time.process_time()
    p = ours.probabilities(seen) if way == "xmed" else by_monai(ours, seen)
    took = {"cpu_s": time.process_time() - used, "wall_s": time.monotonic() - began}
    np.save(out, p.argmax(0).astype(np.uint8))
    return {**took, "memory_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[192, 192, 96])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        way, dims, air, out = words.one
        sys.stdout.write(json.dumps(one(way, dims, tuple(words.shape), air == "air", Path(out))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for dims in PATCHES:
            for air in ("air", "full"):
                row: dict[str, object] = {"dims": dims, "volume": "a body in air" if air == "air" else "all body"}
                for way in WAYS:
                    command = [sys.executable, __file__, "--shape", *map(str, words.shape)]
                    command += ["--one", way, dims, air, f"{folder}/{way}.npy"]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    row[way] = json.loads(done.stdout)
                a, b = (np.load(f"{folder}/{way}.npy") for way in WAYS)
                body = sample(tuple(words.shape), air == "air").image > -1
                row["dice"] = min(dice((a == v) & body, (b == v) & body, (1.0, 1.0, 1.0)) for v in (1, 2))
                rows.append(row)
                sys.stdout.write(f"{row}\n")
    lines = [
        "| | volume | xmed, CPU s | MONAI, CPU s | ratio | xmed, MiB | MONAI, MiB | Dice of the label maps in the body |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, theirs = row["xmed"], row["MONAI"]
        lines.append(
            f"| {row['dims']} | {row['volume']} | {ours['cpu_s']:.1f} | {theirs['cpu_s']:.1f} | "
            f"{theirs['cpu_s'] / ours['cpu_s']:.2f} × | {ours['memory_mib']:.0f} | {theirs['memory_mib']:.0f} | {row['dice']:.5f} |"
        )
    where = (
        f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    )
    shape = "×".join(map(str, words.shape))
    text = f"# Prediction\n\n{__doc__.splitlines()[0]} Volume {shape}, U-Net {CHANNELS}, untrained.\n\n"
    text += "\n".join(lines) + f"\n\n{where}.\n"
    (BENCHMARKS / "prediction.md").write_text(text, encoding="utf-8")
    (BENCHMARKS / "prediction.json").write_text(json.dumps({"rows": rows, "where": where}, indent=1) + "\n")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
