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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_loops import method, operations, ours, samples, synchronise, theirs

from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.networks import build_network
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.spec import Budget, GridSpec, NetworkSpec
from xmed.train.loop import train

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
NETWORK = NetworkSpec(channels=[32, 64, 128, 256])
STRUCTURES = LabelTable(tuple(Structure(value, name, "x", "y") for value, name in ((1, "a"), (2, "b"))))
SIZES = {"2-D 192²": ((192, 192, 1), 12), "3-D 96³": ((96, 96, 96), 4), "3-D 128³": ((128, 128, 128), 2)}
TRIAL = {"2-D 32²": ((32, 32, 1), 4), "3-D 16³": ((16, 16, 16), 2)}
COMPARED_STEPS = 20


def losses_of(grid: GridSpec, batch: int, pool: list[Sample], device: torch.device) -> np.ndarray:
    """Losses of COMPARED_STEPS steps in float32, from the same weights and batches on every device."""
    with tempfile.TemporaryDirectory() as folder:
        pair = [Sampler(pool, grid, batch, Augmentation(), seed, 0.5) for seed in (0, 1)]
        train(method(NETWORK, grid), *pair, Budget(steps=COMPARED_STEPS, batch=batch), device, Path(folder))
        rows = (Path(folder) / "losses.csv").read_text().splitlines()
    column = rows[0].split(",").index("total")
    return np.array([float(row.split(",")[column]) for row in rows[1:]])


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
        row |= ours(NETWORK, grid, batch, pool, device, words.seconds)
        dtype = torch.bfloat16 if row["bfloat16"] else torch.float32
        rate = matrix_rate(device, dtype, 8192 if on_gpu else 512)
        row["share_of_matrix_rate"] = operations(NETWORK, grid, batch) * row["steps_per_s"] / rate
        monai = theirs(
            NETWORK, grid, batch, pool, device, words.seconds, bool(row["bfloat16"]), words.workers if on_gpu else 0
        )
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
