"""Prediction: our sliding windows against MONAI's inferer and nnU-Net's predictor, with the same trained weights.

    OMP_NUM_THREADS=1 PYTHON benchmarks/prediction.py [--shape 160 160 96] [--large 512 512 1000]

All have the same windows, overlap and mirrored copies. Each way is a process of its own: processor time, time and the
growth of its largest resident set (with what its libraries need in their first prediction). The volume is a body of
noise with two structures, in air as in a CT, and once filling the whole volume; the networks were trained for a few minutes
to find these structures. Label maps are compared by their smallest Dice. nnU-Net's predictor averages logits, not
probabilities; it is measured where nnunetv2 is installed (`pip install nnunetv2`). The large volume is predicted
from its file's voxels to a label map, without mirrored copies; its memory is what comes on top of the volume.
The result is written to reports/benchmarks/prediction.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from itertools import compress, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference

from xmed.labels import LabelTable, Structure
from xmed.methods.source_only import SourceOnly
from xmed.metrics import dice
from xmed.model.deployed import Model
from xmed.model.prediction import predict
from xmed.model.sliding_windows import AT_ONCE
from xmed.networks import build_network
from xmed.prepare import Augmentation, Sample, Sampler, normalise
from xmed.processes.processor import cpu
from xmed.spec import Budget, GridSpec, NetworkSpec
from xmed.train.loop import train
from xmed.volume import Grid, Volume

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
STRUCTURES = LabelTable(tuple(Structure(value, name, "x", "y") for value, name in ((1, "a"), (2, "b"))))
CHANNELS = [16, 32, 64, 96]
PATCHES = {"2-D": (96, 96, 1), "3-D": (64, 64, 64)}
TRAINED_ON = {"2-D": (48, 48, 1), "3-D": (32, 32, 32)}
STEPS = {"2-D": 500, "3-D": 300}
WINDOW = (-100, 250)
WAYS = ("xmed", "MONAI", *(["nnU-Net"] if find_spec("nnunetv2") else []))
LARGE_SPACING, LARGE_GRID = (0.8, 0.8, 1.0), (1.5, 1.5, 1.5)


def volume(
    shape: tuple[int, int, int], in_air: bool, seed: int = 0, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Noise with two bright balls, int16, and its label map; in air it fills an elliptic cylinder of 60 % of each edge."""
    random = np.random.default_rng(seed)
    image, label = random.normal(50, 20, shape).astype(np.int16), np.zeros(shape, np.uint8)
    middle = np.array(shape) / 2
    for value, radius, brightness in ((1, 14 * scale, 100), (2, 10 * scale, 160)):
        centre = middle + random.uniform(-0.15, 0.15, 3) * shape
        near = tuple(slice(max(int(c - radius - 1), 0), min(int(c + radius + 2), n)) for c, n in zip(centre, shape))
        distance = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(np.ogrid[near], centre)))
        label[near][distance <= radius] = value
        image[near][distance <= radius] += brightness
    if in_air:
        i, j = ((np.arange(size) - size / 2) / (0.3 * size) for size in shape[:2])
        image[(i[:, None] ** 2 + j[None] ** 2) > 1] = WINDOW[0]
    return image, label


def sample(shape: tuple[int, int, int], in_air: bool, seed: int = 0) -> Sample:
    """The volume as a network receives it."""
    (image, label), seen = volume(shape, in_air, seed), np.ones(shape, bool)
    return Sample("a", normalise(image, seen, WINDOW), seen, Grid(shape, np.eye(4)), label)


def save_model(dims: str, folder: Path) -> None:
    """Train a network for one to three minutes and save it as a model of CT."""
    network, patch = NetworkSpec(channels=CHANNELS), TRAINED_ON[dims]
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=patch)
    net = build_network(network, grid.spatial_dims, 1, 3, seed=0)
    model = Model(net, grid.model_copy(update={"patch": PATCHES[dims]}), network, "CT", STRUCTURES)
    method, pool = SourceOnly(net, model.task), [sample((96, 96, 64), n % 2 == 0, n) for n in range(1, 5)]
    samplers = [Sampler(pool, grid, 4, Augmentation(), seed, 0.5) for seed in (0, 1)]
    (folder / "training").mkdir(parents=True)
    train(method, *samplers, Budget(steps=STEPS[dims], batch=4), torch.device("cpu"), folder / "training")
    replace(model, net=method.deployed()).save(folder)


def by_monai(model: Model, seen: Sample) -> np.ndarray:
    """As xmed did it before it had windows of its own: whole mirrored copies, each through MONAI's inferer."""
    stack, dims = model.stacked(seen), model.grid.spatial_dims
    axes = [2 + axis for axis in compress(range(dims), model.flips)]
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


def by_nnunet(model: Model, seen: Sample) -> np.ndarray:
    """Its own predictor around the same network; in 2-D it goes through the slices along its first axis."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    dims = model.grid.spatial_dims
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=True, perform_everything_on_device=False,
        device=torch.device("cpu"), verbose=False, allow_tqdm=False,
    )  # fmt: skip
    predictor.network = model.net
    predictor.configuration_manager = SimpleNamespace(patch_size=model.grid.patch[:dims])
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=model.task.classes)
    predictor.allowed_mirroring_axes = list(compress(range(dims), model.flips))
    image = torch.from_numpy(seen.image)[None]
    if dims == 2:
        image = image.permute(0, 3, 1, 2)
    logits = predictor.predict_sliding_window_return_logits(image.contiguous()).float().numpy()
    return logits.transpose(0, 2, 3, 1) if dims == 2 else logits


PREDICT = {"xmed": Model.probabilities, "MONAI": by_monai, "nnU-Net": by_nnunet}


def peak_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5)


def one(way: str, folder: Path, shape: tuple[int, int, int], in_air: bool, out: Path) -> dict[str, float]:
    """Predict the volume in one way."""
    torch.set_num_threads(1)
    model, seen = Model.load(folder), sample(shape, in_air)
    model.bfloat16  # noqa: B018 - its measurement is no part of the prediction
    forget_peak()
    before, began, used = peak_mib(), time.monotonic(), time.process_time()
    p = PREDICT[way](model, seen)
    took = {"cpu_s": time.process_time() - used, "wall_s": time.monotonic() - began}
    np.save(out, p.argmax(0).astype(np.uint8))
    return {**took, "memory_mib": peak_mib() - before}


def large(folder: Path, shape: tuple[int, int, int]) -> dict[str, float]:
    """Predict a large volume from its voxels to a label map on its own grid."""
    torch.set_num_threads(1)
    image, reference = volume(shape, in_air=True, scale=LARGE_GRID[0] / LARGE_SPACING[0])
    scan = Volume(image, np.diag([*LARGE_SPACING, 1.0]), modality="CT")
    loaded = Model.load(folder)
    grid = GridSpec(spacing_mm=LARGE_GRID, patch=loaded.grid.patch)
    model = replace(loaded, grid=grid, window=WINDOW, mirrors=False)
    model.bfloat16  # noqa: B018 - its measurement is no part of the prediction
    forget_peak()
    before, began, used = peak_mib(), time.monotonic(), time.process_time()
    label = predict(model, scan).array
    took = {"cpu_s": time.process_time() - used, "wall_s": time.monotonic() - began, "memory_mib": peak_mib() - before}
    return {**took, "volume_mib": image.nbytes / 2**20, "dice": dice(label == 1, reference == 1, LARGE_SPACING)}


def measured(*words: str) -> dict[str, float]:
    """Run this file with `words` as a process of its own and return what it prints."""
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    document: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return document


def main() -> None:
    """Measure everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[160, 160, 96])
    parser.add_argument("--large", type=int, nargs=3, default=[512, 512, 1000])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--one-large", help=argparse.SUPPRESS)
    words = parser.parse_args()
    shape, large_shape = tuple(words.shape), tuple(words.large)
    if words.one:
        way, folder, air, out = words.one
        sys.stdout.write(json.dumps(one(way, Path(folder), shape, air == "air", Path(out))))
        return
    if words.one_large:
        sys.stdout.write(json.dumps(large(Path(words.one_large), large_shape)))
        return
    rows, large_rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        for dims in PATCHES:
            save_model(dims, Path(folder) / dims)
            for air in ("air", "full"):
                row: dict[str, object] = {"dims": dims, "volume": "a body in air" if air == "air" else "all body"}
                for way in WAYS:
                    row[way] = measured(
                        "--shape", *map(str, shape), "--one", way, f"{folder}/{dims}", air, f"{folder}/{way}.npy"
                    )
                maps = [np.load(f"{folder}/{way}.npy") for way in WAYS]
                body = volume(shape, air == "air")[0] > WINDOW[0]
                row["dice"] = {
                    way: min(dice((maps[0] == v) & body, (other == v) & body, (1.0, 1.0, 1.0)) for v in (1, 2))
                    for way, other in zip(WAYS[1:], maps[1:])
                }
                rows.append(row)
                sys.stdout.write(f"{row}\n")
            large_rows.append(
                {"dims": dims} | measured("--large", *map(str, large_shape), "--one-large", f"{folder}/{dims}")
            )
            sys.stdout.write(f"{large_rows[-1]}\n")
    where = (
        f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    )
    text = table(rows, large_rows, shape, large_shape) + f"\n{where}.\n"
    (BENCHMARKS / "prediction.md").write_text(text, encoding="utf-8")
    document = {"rows": rows, "large": large_rows, "where": where}
    (BENCHMARKS / "prediction.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(text)


def table(
    rows: list[dict[str, object]],
    large_rows: list[dict[str, object]],
    shape: tuple[int, ...],
    large_shape: tuple[int, ...],
) -> str:
    """Lay the results out as Markdown."""
    others = WAYS[1:]
    lines = [
        f"# Prediction\n\n{__doc__.splitlines()[0]} Volume {'×'.join(map(str, shape))}, U-Net {CHANNELS}.\n",
        "| | volume | xmed, CPU s | " + " | ".join(f"{way}, CPU s | ratio" for way in others)
        + " | " + " | ".join(f"{way}, MiB" for way in WAYS) + " | smallest Dice of label maps in the body: " + ", ".join(others) + " |",
        "|---|---|---" + "|---" * (3 * len(others) + 2) + "|",
    ]  # fmt: skip
    for row in rows:
        ours = row["xmed"]["cpu_s"]
        cells = [f"{row[way]['cpu_s']:.1f} | {row[way]['cpu_s'] / ours:.2f} ×" for way in others]
        cells += [f"{row[way]['memory_mib']:.0f}" for way in WAYS]
        agree = ", ".join(f"{row['dice'][way]:.4f}" for way in others)
        lines.append(f"| {row['dims']} | {row['volume']} | {ours:.1f} | {' | '.join(cells)} | {agree} |")
    lines += [
        f"\nA CT of {'×'.join(map(str, large_shape))} voxels of {' × '.join(map(str, LARGE_SPACING))} mm in int16, network "
        f"grid {' × '.join(map(str, LARGE_GRID))} mm, from voxels to label map, without mirrored copies:\n",
        "| | CPU s | s | volume, MiB | memory beyond the volume, MiB | Dice |",
        "|---|---|---|---|---|---|",
    ]
    for row in large_rows:
        lines.append(
            f"| {row['dims']} | {row['cpu_s']:.0f} | {row['wall_s']:.0f} | {row['volume_mib']:.0f} | {row['memory_mib']:.0f} | {row['dice']:.3f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
