"""Training step: xmed's loop against MONAI's with the same network, and what remains to the rate of the convolutions.

    OMP_NUM_THREADS=1 python benchmarks/training_step.py [--seconds 25]

Source-only training of a U-Net, batches and losses included, in one process and one thread of torch, one loop after the
other, twice. xmed trains in the precision that it measured to be faster here, MONAI's loop as its tutorials have it, in
float32. The rate of the convolutions is that of 3×3(×3) convolutions of 32 channels, channels last, forward and
backward, in the same precision: what a step could reach that is nothing but convolutions of that kind. The result is
written to reports/benchmarks/training-step.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional
from training_loops import operations, ours, samples, theirs

from xmed.processes.processor import cpu
from xmed.spec import GridSpec, NetworkSpec

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
NETWORK = NetworkSpec(channels=[16, 32, 64, 96])
SIZES = {"2-D 96²": ((96, 96, 1), 12), "3-D 48³": ((48, 48, 48), 2)}
CPU = torch.device("cpu")


def convolution_rate(dims: int, bfloat16: bool, seconds: float = 3.0) -> float:
    """Floating-point operations a second of convolutions of 32 channels, forward and backward."""
    size = (12, 32, 96, 96) if dims == 2 else (2, 32, 48, 48, 48)
    dtype, layout = (
        (torch.bfloat16 if bfloat16 else torch.float32),
        (None, None, torch.channels_last, torch.channels_last_3d),
    )
    image = torch.randn(size).to(dtype, memory_format=layout[dims]).requires_grad_()
    weight = torch.randn(32, 32, *(3,) * dims).to(dtype, memory_format=layout[dims]).requires_grad_()
    convolve = functional.conv2d if dims == 2 else functional.conv3d
    once = 3 * 2 * 32 * 32 * 3**dims * image.numel() / 32
    for warm in (True, False):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < (0.5 if warm else seconds):
            convolve(image, weight, padding=1).sum().backward()
            count += 1
    return once * count / (time.perf_counter() - began)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=25.0, help="of each measured loop")
    words = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, (patch, batch) in SIZES.items():
        grid, pool = GridSpec(spacing_mm=(1, 1, 1), patch=patch), samples(tuple(max(edge + 32, 48) for edge in patch))
        turns = [
            (ours(NETWORK, grid, batch, pool, CPU, words.seconds / 2),
             theirs(NETWORK, grid, batch, pool, CPU, words.seconds / 2, bfloat16=False, workers=0))
            for _ in range(2)
        ]  # fmt: skip
        mine, monai = ({key: statistics.mean(turn[n][key] for turn in turns) for key in turns[0][n]} for n in (0, 1))
        reached = operations(NETWORK, grid, batch) / mine["cpu_s_per_step"]
        rate = convolution_rate(grid.spatial_dims, bool(mine["bfloat16"]))
        rows.append({
            "what": f"{name}, batch {batch}", "precision": "bfloat16" if mine["bfloat16"] else "float32",
            "xmed": mine, "MONAI": monai, "ratio_cpu": monai["cpu_s_per_step"] / mine["cpu_s_per_step"],
            "ratio_wall": mine["steps_per_s"] / monai["steps_per_s"], "gflops": reached / 1e9,
            "convolution_gflops": rate / 1e9,
        })  # fmt: skip
        sys.stdout.write(f"{rows[-1]}\n")
    where = (
        f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    )
    lines = [
        "| | xmed in | xmed, CPU ms per step | MONAI, CPU ms | ratio, CPU | ratio, wall | waiting | of the convolution rate |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['what']} | {row['precision']} | {1000 * row['xmed']['cpu_s_per_step']:.0f} | "
            f"{1000 * row['MONAI']['cpu_s_per_step']:.0f} | {row['ratio_cpu']:.2f} × | {row['ratio_wall']:.2f} × | "
            f"{100 * row['xmed']['waiting_share']:.1f} % | {row['gflops']:.0f} of {row['convolution_gflops']:.0f} GFLOP/s |"
        )
    text = f"# Training step\n\n{__doc__.splitlines()[0]}\n\n" + "\n".join(lines) + f"\n\n{where}.\n"
    (BENCHMARKS / "training-step.md").write_text(text, encoding="utf-8")
    (BENCHMARKS / "training-step.json").write_text(
        json.dumps({"rows": rows, "where": where}, indent=1) + "\n", encoding="utf-8"
    )
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
