"""Augmentation: our batched crops and warps against MONAI's dictionary transforms, sample by sample, in one process.

    OMP_NUM_THREADS=1 python benchmarks/augmentation.py

Both draw 16 patches of 64 × 64 from the same volumes, with rotation, scaling, shift, mirroring, gain, offset and noise.
Medians over interleaved repetitions; the result is written to reports/benchmarks/augmentation.md.
"""

import json
import platform
import statistics
import time
from pathlib import Path

import monai
import numpy as np
import torch
from monai import transforms as mt

from xmed.prepare import Augmentation, Sample, Sampler
from xmed.spec import GridSpec
from xmed.volume import Grid

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
PATCH, BATCH, REPETITIONS = 64, 16, 40


def volumes() -> list[Sample]:
    random = np.random.default_rng(0)
    out = []
    for n in range(8):
        image = random.normal(size=(80, 76, 40)).astype(np.float32)
        label = np.zeros(image.shape, np.uint8)
        label[30:50, 30:50, 12:28] = 1
        out.append(Sample(str(n), image, np.ones(image.shape, bool), Grid(image.shape, np.eye(4)), label))
    return out


def ours(samples: list[Sample]):
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=(PATCH, PATCH, 1))
    sampler = Sampler(samples, grid, BATCH, Augmentation(), seed=0)
    return lambda: next(sampler)


def theirs(samples: list[Sample]):
    keys = ["image", "label"]
    chain = mt.Compose(
        [
            mt.RandCropByPosNegLabeld(keys, "label", (80, 80, 1), pos=0.7, neg=0.3, num_samples=1, allow_smaller=True),
            mt.ResizeWithPadOrCropd(keys, (80, 80, 1)),
            mt.SqueezeDimd(keys, -1),
            mt.RandAffined(
                keys, prob=1.0, rotate_range=0.5, scale_range=0.2, translate_range=10, spatial_size=(PATCH, PATCH),
                mode=("bilinear", "nearest"), padding_mode="border",
            ),
            mt.RandFlipd(keys, prob=0.5, spatial_axis=0),
            mt.RandFlipd(keys, prob=0.5, spatial_axis=1),
            mt.RandScaleIntensityd("image", 0.2, prob=1.0),
            mt.RandShiftIntensityd("image", 0.2, prob=1.0),
            mt.RandGaussianNoised("image", prob=1.0, std=0.05),
        ]
    )  # fmt: skip
    chain.set_random_state(0)
    items = [{"image": torch.from_numpy(s.image)[None], "label": torch.from_numpy(s.label)[None]} for s in samples]
    random = np.random.default_rng(0)

    def batch():
        drawn = [chain(dict(items[int(random.integers(len(items)))]))[0] for _ in range(BATCH)]
        return torch.stack([d["image"] for d in drawn]), torch.stack([d["label"] for d in drawn])

    return batch


def main() -> None:
    torch.set_num_threads(1)
    monai.utils.set_determinism(0)
    samples = volumes()
    ways = {"xmed Sampler": ours(samples), "MONAI dictionary transforms": theirs(samples)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(REPETITIONS + 3):
        for name, draw in ways.items():
            started = time.perf_counter()
            draw()
            if repetition >= 3:  # the first ones warm up
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    base = median["xmed Sampler"]
    lines = ["| | ms per batch of 16, median | against xmed |", "|---|---|---|"]
    lines += [f"| {name} | {1000 * value:.1f} | {value / base:.1f} × |" for name, value in median.items()]
    where = f"Python {platform.python_version()}, torch {torch.__version__}, monai {monai.__version__}, one thread"
    text = (
        f"# Augmentation\n\n{__doc__.split(chr(10), 1)[0]}\n\n"
        + "\n".join(lines)
        + f"\n\n{where}, {REPETITIONS} batches.\n"
    )
    BENCHMARKS.mkdir(parents=True, exist_ok=True)
    (BENCHMARKS / "augmentation.md").write_text(text, encoding="utf-8")
    (BENCHMARKS / "augmentation.json").write_text(
        json.dumps({"median_seconds": median, "where": where}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
