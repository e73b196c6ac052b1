"""GPU: whether a GPU computes what the processor does, how fast, and whether it waits; and the same for MONAI's loop.

    python benchmarks/gpu.py [--device cuda] [--seconds 8]

Five questions, each answered in one process on one card, in under eight minutes:
- correctness: losses of 20 steps against the processor, both in float32, from the same weights and batches;
- throughput: steps a second at 2-D 192² (batch 12) and 3-D 96³ (batch 4) and 128³ (batch 2), in the chosen precision;
- waiting: share of the time in which a step waited for its batches;
- share of the measured matrix rate: floating-point operations of the step (torch's own counter) over what a product of
  8192 × 8192 matrices reaches in the same precision;
- prediction of a volume of 512 × 512 × 300, and its memory.
MONAI's loop has the same network, batch and kinds of augmentation, with its dictionary transforms in a DataLoader. The
result is written to reports/benchmarks/gpu.{json,md}. With `--device cpu` it tries itself out on tiny sizes and writes
nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai import transforms as mt
from monai.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from xmed.labels import LabelTable, Structure
from xmed.methods.source_only import SourceOnly
from xmed.model.deployed import Model
from xmed.networks import build_network
from xmed.networks.precision import choose_precision
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.spec import Budget, GridSpec, NetworkSpec
from xmed.tasks import Segmentation
from xmed.train.loop import train
from xmed.train.prefetch import prefetched
from xmed.volume import Grid

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
NETWORK = NetworkSpec(channels=[32, 64, 128, 256])
TASK = Segmentation(("a", "b"))
STRUCTURES = LabelTable(tuple(Structure(value, name, "x", "y") for value, name in ((1, "a"), (2, "b"))))
SIZES = {"2-D 192²": ((192, 192, 1), 12), "3-D 96³": ((96, 96, 96), 4), "3-D 128³": ((128, 128, 128), 2)}
TRIAL = {"2-D 32²": ((32, 32, 1), 4), "3-D 16³": ((16, 16, 16), 2)}
COMPARED_STEPS = 20


def samples(shape: tuple[int, int, int], count: int = 4) -> list[Sample]:
    """Noise with two boxes."""
    random, out = np.random.default_rng(0), []
    for number in range(count):
        image, label = random.normal(size=shape).astype(np.float32), np.zeros(shape, np.uint8)
        for value in (1, 2):
            label[tuple(slice(value * size // 5, value * size // 5 + size // 4) for size in shape)] = value
        out.append(Sample(str(number), image + label, np.ones(shape, bool), Grid(shape, np.eye(4)), label))
    return out


def method(grid: GridSpec, seed: int = 0) -> SourceOnly:
    return SourceOnly(build_network(NETWORK, grid.spatial_dims, 1, 3, seed), TASK)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def losses_of(grid: GridSpec, batch: int, pool: list[Sample], device: torch.device) -> np.ndarray:
    """Losses of COMPARED_STEPS steps in float32, from the same weights and batches on every device."""
    with tempfile.TemporaryDirectory() as folder:
        pair = [Sampler(pool, grid, batch, Augmentation(), seed, 0.5) for seed in (0, 1)]
        train(method(grid), *pair, Budget(steps=COMPARED_STEPS, batch=batch), device, Path(folder))
        rows = (Path(folder) / "losses.csv").read_text().splitlines()
    column = rows[0].split(",").index("total")
    return np.array([float(row.split(",")[column]) for row in rows[1:]])


def ours(grid: GridSpec, batch: int, pool: list[Sample], device: torch.device, seconds: float) -> dict[str, float]:
    """Train for about `seconds`, after as many steps as warm it up."""
    choice = choose_precision(NETWORK, grid, 3, device, "training")
    marks: list[float] = []

    def progress(*_: object) -> None:
        marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        for steps in (12, None):
            if steps is None:
                synchronise(device)
                steps = max(int(seconds / ((marks[-1] - marks[4]) / (len(marks) - 5))), 10)
            marks.clear()
            pair = [Sampler(pool, grid, batch, Augmentation(), seed, 0.5) for seed in (0, 1)]
            with prefetched(*pair) as (labelled, unlabelled):
                began = time.perf_counter()
                part = Path(folder) / str(steps)
                part.mkdir()
                bfloat16 = choice.is_bfloat16
                train(method(grid), labelled, unlabelled, Budget(steps=steps, batch=batch), device, part, progress,
                      bfloat16=bfloat16)  # fmt: skip
                synchronise(device)
                wall = time.perf_counter() - began
    waited = labelled.waited_s + unlabelled.waited_s
    return {"steps_per_s": steps / wall, "waiting_share": waited / wall, "bfloat16": float(bfloat16)}


def operations(grid: GridSpec, batch: int) -> float:
    """Floating-point operations of one step."""
    net = build_network(NETWORK, grid.spatial_dims, 1, 3).to("meta")
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(batch, 1, *grid.patch[: grid.spatial_dims], device="meta")).sum().backward()
    return float(counter.get_total_flops())


def matrix_rate(device: torch.device, dtype: torch.dtype, edge: int) -> float:
    """Floating-point operations a second of a matrix product."""
    a = torch.randn(edge, edge, device=device, dtype=dtype)
    for _ in range(3):
        a @ a
    synchronise(device)
    began = time.perf_counter()
    for _ in range(10):
        a @ a
    synchronise(device)
    return 10 * 2 * edge**3 / (time.perf_counter() - began)


def monai_batches(grid: GridSpec, batch: int, pool: list[Sample], workers: int) -> Iterator[dict[str, torch.Tensor]]:
    keys, patch = ["image", "label"], grid.patch
    chain = mt.Compose([
        mt.RandCropByPosNegLabeld(keys, "label", patch, pos=0.5, neg=0.5, num_samples=1, allow_smaller=True),
        mt.ResizeWithPadOrCropd(keys, patch),
        *([mt.SqueezeDimd(keys, -1)] if grid.spatial_dims == 2 else []),
        mt.RandAffined(keys, prob=1.0, rotate_range=0.3, scale_range=0.2, spatial_size=patch[: grid.spatial_dims],
                       mode=("bilinear", "nearest"), padding_mode="border"),
        mt.RandFlipd(keys, prob=0.5, spatial_axis=0),
        mt.RandScaleIntensityd("image", 0.2, prob=1.0),
        mt.RandShiftIntensityd("image", 0.2, prob=1.0),
        mt.RandGaussianNoised("image", prob=1.0, std=0.05),
    ])  # fmt: skip
    items = [{"image": torch.from_numpy(s.image)[None], "label": torch.from_numpy(s.reference)[None]} for s in pool]
    loader = DataLoader(Dataset(items * 64, chain), batch_size=batch, shuffle=True, num_workers=workers, pin_memory=workers > 0,
                        persistent_workers=workers > 0)  # fmt: skip
    while True:
        yield from loader


def theirs(
    grid: GridSpec, batch: int, pool: list[Sample], device: torch.device, seconds: float, bfloat16: bool, workers: int
) -> dict[str, float]:
    """MONAI's usual loop: one labelled batch a step; ours has a labelled and an unlabelled one, and learns from one."""
    net = build_network(NETWORK, grid.spatial_dims, 1, 3).to(device).train()
    optimiser, batches = torch.optim.AdamW(net.parameters(), 1e-3), monai_batches(grid, batch, pool, workers)

    def step() -> None:
        drawn = next(batches)
        image, label = drawn["image"].to(device, non_blocking=True), drawn["label"].to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = TASK.loss(net(image.as_tensor()).float(), label.as_tensor()[:, 0].long())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 12.0)
        optimiser.step()
        float(loss.detach())

    for _ in range(5):
        step()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or steps < 5:
        step()
        steps += 1
    synchronise(device)
    return {"steps_per_s": steps / (time.perf_counter() - began)}


def prediction(device: torch.device, shape: tuple[int, int, int], patch: tuple[int, int, int]) -> dict[str, float]:
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=patch)
    net = build_network(NETWORK, grid.spatial_dims, 1, 3).to(device, memory_format=torch.channels_last_3d).eval()
    model, (seen,) = Model(net, grid, NETWORK, "CT", STRUCTURES), samples(shape, 1)
    model.bfloat16  # noqa: B018 - its measurement is no part of the prediction
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    model.probabilities(seen)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {"seconds": time.perf_counter() - began, "gpu_gib": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measured loop")
    parser.add_argument("--workers", type=int, default=12, help="processes of MONAI's DataLoader")
    words = parser.parse_args()
    device, on_gpu = torch.device(words.device), words.device != "cpu"
    sizes = SIZES if on_gpu else TRIAL
    results: dict[str, Any] = {}
    say: Callable[[str], Any] = lambda text: sys.stdout.write(f"{text}\n")  # noqa: E731
    for name, (patch, batch) in sizes.items():
        grid = GridSpec(spacing_mm=(1, 1, 1), patch=patch)
        pool = samples(tuple(max(edge + 32, 48) for edge in patch))
        row: dict[str, float] = {}
        if name != "3-D 128³":  # the processor takes minutes for these steps
            compared = batch if grid.spatial_dims == 2 else 1
            a, b = (losses_of(grid, compared, pool, where) for where in (torch.device("cpu"), device))
            row["largest_loss_difference"] = float(np.abs(a - b).max() / a[0])
        row |= ours(grid, batch, pool, device, words.seconds)
        dtype = torch.bfloat16 if row["bfloat16"] else torch.float32
        rate = matrix_rate(device, dtype, 8192 if on_gpu else 512)
        row["share_of_matrix_rate"] = operations(grid, batch) * row["steps_per_s"] / rate
        monai = theirs(grid, batch, pool, device, words.seconds, bool(row["bfloat16"]), words.workers if on_gpu else 0)
        row["monai_steps_per_s"] = monai["steps_per_s"]
        results[name] = row
        say(f"{name}: {row}")
    results["prediction"] = prediction(device, *(((512, 512, 300), (96, 96, 96)) if on_gpu else ((24,) * 3, (16,) * 3)))
    say(f"prediction: {results['prediction']}")
    if not on_gpu:
        return
    where = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, torch {torch.__version__}, Python {platform.python_version()}"
    lines = [
        "| | xmed, steps/s | MONAI, steps/s | ratio | waiting | share of the matrix rate | precision | losses against the CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sizes:
        row = results[name]
        difference = row.get("largest_loss_difference")
        shown = "–" if difference is None else f"{difference:.1e}"
        lines.append(
            f"| {name}, batch {sizes[name][1]} | {row['steps_per_s']:.2f} | {row['monai_steps_per_s']:.2f} | "
            f"{row['steps_per_s'] / row['monai_steps_per_s']:.2f} × | {100 * row['waiting_share']:.1f} % | "
            f"{100 * row['share_of_matrix_rate']:.0f} % | {'bfloat16' if row['bfloat16'] else 'float32'} | {shown} |"
        )
    predicted = results["prediction"]
    text = "# GPU\n\n" + "\n".join(lines) + (
        f"\n\nA volume of 512 × 512 × 300 is predicted in {predicted['seconds']:.1f} s, with {predicted['gpu_gib']:.1f} GiB on "
        f"the card. {where}.\n"
    )  # fmt: skip
    (BENCHMARKS / "gpu.md").write_text(text, encoding="utf-8")
    (BENCHMARKS / "gpu.json").write_text(json.dumps({"results": results, "where": where}, indent=1) + "\n")
    say(text)


if __name__ == "__main__":
    main()
