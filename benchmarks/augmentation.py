"""Augmentation: our batched crops and warps against the libraries that people use, patch by patch, in one process.

    OMP_NUM_THREADS=1 python benchmarks/augmentation.py

All draw patches from the same labelled volumes, with rotation, scaling, mirroring, gain, offset and noise: 64 × 64 in
2-D, 48 × 48 × 48 in 3-D. MONAI: dictionary transforms. TorchIO: its samplers' crop and its transforms. batchgeneratorsv2:
the transforms of nnU-Net, each applied to every patch as the others do, on a crop as nnU-Net's loader makes it. What is
not installed is left out. Processor time for a patch, medians over interleaved repetitions; the result is written to
reports/benchmarks/augmentation.{json,md}.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import monai
import numpy as np
import torch
from monai import transforms as mt

from xmed.prepare import Augmentation, Sample, Sampler
from xmed.spec import GridSpec
from xmed.volume import Grid

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
PATCHES = {"2-D": (64, 64, 1), "3-D": (48, 48, 48)}
BATCH, REPETITIONS = {"2-D": 16, "3-D": 4}, {"2-D": 40, "3-D": 10}
Draw = Callable[[], object]


def volumes() -> list[Sample]:
    """Eight volumes of noise with a block as foreground."""
    random = np.random.default_rng(0)
    out = []
    for n in range(8):
        image = random.normal(size=(96, 92, 72)).astype(np.float32)
        label = np.zeros(image.shape, np.uint8)
        label[36:60, 36:60, 24:48] = 1
        out.append(Sample(str(n), image, np.ones(image.shape, bool), Grid(image.shape, np.eye(4)), label))
    return out


def by_xmed(samples: list[Sample], dims: str) -> Draw:
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=PATCHES[dims])
    sampler = Sampler(samples, grid, BATCH[dims], Augmentation(), seed=0)
    return lambda: next(sampler)


def larger(patch: tuple[int, int, int]) -> tuple[int, int, int]:
    """The crop that a patch is cut from after its rotation."""
    i, j, k = (edge + edge // 4 if edge > 1 else 1 for edge in patch)
    return i, j, k


def by_monai(samples: list[Sample], dims: str) -> Draw:
    keys, patch = ["image", "label"], PATCHES[dims]
    spatial = patch[:2] if dims == "2-D" else patch
    chain = mt.Compose([
        mt.RandCropByPosNegLabeld(keys, "label", larger(patch), pos=0.7, neg=0.3, num_samples=1, allow_smaller=True),
        mt.ResizeWithPadOrCropd(keys, larger(patch)),
        *([mt.SqueezeDimd(keys, -1)] if dims == "2-D" else []),
        mt.RandAffined(
            keys, prob=1.0, rotate_range=0.5, scale_range=0.2, translate_range=10, spatial_size=spatial,
            mode=("bilinear", "nearest"), padding_mode="border",
        ),
        mt.RandFlipd(keys, prob=0.5, spatial_axis=0),
        mt.RandFlipd(keys, prob=0.5, spatial_axis=1),
        mt.RandScaleIntensityd("image", 0.2, prob=1.0),
        mt.RandShiftIntensityd("image", 0.2, prob=1.0),
        mt.RandGaussianNoised("image", prob=1.0, std=0.05),
    ])  # fmt: skip
    chain.set_random_state(0)
    items = [{"image": torch.from_numpy(s.image)[None], "label": torch.from_numpy(s.reference)[None]} for s in samples]
    random = np.random.default_rng(0)

    def batch() -> object:
        drawn = [chain(dict(items[int(random.integers(len(items)))]))[0] for _ in range(BATCH[dims])]
        return torch.stack([d["image"] for d in drawn]), torch.stack([d["label"] for d in drawn])

    return batch


def by_torchio(samples: list[Sample], dims: str) -> Draw:
    import torchio as tio

    patch = PATCHES[dims]
    flat = dims == "2-D"
    subjects = [
        tio.Subject(
            image=tio.ScalarImage(tensor=torch.from_numpy(s.image)[None]),
            label=tio.LabelMap(tensor=torch.from_numpy(s.reference)[None]),
        )
        for s in samples
    ]
    crops = tio.data.LabelSampler(larger(patch), "label", {0: 0.3, 1: 0.7})
    angles = (0, 0, 0, 0, -30, 30) if flat else 30
    chain = tio.Compose([
        tio.RandomAffine(scales=0.2, degrees=angles, default_pad_value="minimum"),
        tio.CropOrPad(patch),
        tio.RandomFlip(axes=(0, 1), flip_probability=0.5),
        tio.RandomGamma(log_gamma=0.2),
        tio.RandomNoise(std=(0, 0.1)),
    ])  # fmt: skip
    random = np.random.default_rng(0)

    def batch() -> object:
        drawn = [chain(next(crops(subjects[int(random.integers(len(subjects)))], 1))) for _ in range(BATCH[dims])]
        return torch.stack([d["image"].data for d in drawn]), torch.stack([d["label"].data for d in drawn])

    return batch


def by_batchgenerators(samples: list[Sample], dims: str) -> Draw:
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

    patch, crop = PATCHES[dims], larger(PATCHES[dims])
    flat = dims == "2-D"
    chain = ComposeTransforms([
        SpatialTransform(
            patch[:2] if flat else patch, 0, False, p_elastic_deform=0, p_rotation=1, rotation=(-0.5, 0.5), p_scaling=1,
            scaling=(0.8, 1.25), p_synchronize_scaling_across_axes=1, mode_seg="nearest",
        ),
        GaussianNoiseTransform(noise_variance=(0, 0.01), p_per_channel=1, synchronize_channels=True),
        MultiplicativeBrightnessTransform(BGContrast((0.8, 1.2)), synchronize_channels=False, p_per_channel=1),
        ContrastTransform(BGContrast((0.8, 1.2)), preserve_range=True, synchronize_channels=False, p_per_channel=1),
        MirrorTransform((0, 1)),
    ])  # fmt: skip
    random = np.random.default_rng(0)
    foreground = [np.argwhere(s.reference > 0) for s in samples]

    def one() -> dict[str, torch.Tensor]:
        n = int(random.integers(len(samples)))
        shape = samples[n].image.shape
        if random.random() < 0.7:
            centre = foreground[n][random.integers(len(foreground[n]))]
        else:
            centre = np.array([random.integers(edge) for edge in shape])
        start = [int(np.clip(c - e // 2, 0, size - e)) for c, e, size in zip(centre, crop, shape)]
        box = tuple(slice(s, s + e) for s, e in zip(start, crop))
        image, label = torch.from_numpy(samples[n].image[box])[None], torch.from_numpy(samples[n].reference[box])[None]
        if flat:
            image, label = image[..., 0], label[..., 0]
        return chain(image=image, segmentation=label.short())

    def batch() -> object:
        drawn = [one() for _ in range(BATCH[dims])]
        return torch.stack([d["image"] for d in drawn]), torch.stack([d["segmentation"] for d in drawn])

    return batch


WAYS = {"xmed": by_xmed, "MONAI": by_monai}
if find_spec("torchio"):
    WAYS["TorchIO"] = by_torchio
if find_spec("batchgeneratorsv2"):
    WAYS["batchgeneratorsv2"] = by_batchgenerators


def measure(samples: list[Sample], dims: str) -> dict[str, float]:
    """Median processor seconds for one patch, by way."""
    draws = {name: make(samples, dims) for name, make in WAYS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in draws}
    for repetition in range(REPETITIONS[dims] + 3):
        for name, draw in draws.items():
            started = time.process_time()
            draw()
            if repetition >= 3:  # the first ones warm up
                seconds[name].append((time.process_time() - started) / BATCH[dims])
    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    """Measure and write the table."""
    torch.set_num_threads(1)
    monai.utils.set_determinism(0)
    samples = volumes()
    median = {dims: measure(samples, dims) for dims in PATCHES}
    lines = [
        "| | " + " | ".join(f"{dims}, CPU ms per patch | against xmed" for dims in PATCHES) + " |",
        "|---" * 5 + "|",
    ]
    for way in WAYS:
        cells = [f"{1000 * times[way]:.2f} | {times[way] / times['xmed']:.1f} ×" for times in median.values()]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    packages = []
    for package in ("torch", "monai", "torchio", "batchgeneratorsv2"):
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            packages.append(f"without {package}")
    where = f"Python {platform.python_version()}, {', '.join(packages)}, one thread"
    text = f"# Augmentation\n\n{__doc__.splitlines()[0]}\n\n" + "\n".join(lines) + f"\n\n{where}.\n"
    BENCHMARKS.mkdir(parents=True, exist_ok=True)
    (BENCHMARKS / "augmentation.md").write_text(text, encoding="utf-8")
    document = {"median_seconds": median, "where": where}
    (BENCHMARKS / "augmentation.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
