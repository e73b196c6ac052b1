"""Training loops that benchmarks measure: xmed's own, and MONAI's as its tutorials write it, with the same network."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from monai import transforms as mt
from monai.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from xmed.methods.source_only import SourceOnly
from xmed.networks import build_network
from xmed.networks.precision import choose_precision
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.spec import Budget, GridSpec, NetworkSpec
from xmed.tasks import Segmentation
from xmed.train.loop import train
from xmed.train.prefetch import prefetched
from xmed.volume import Grid

TASK = Segmentation(("a", "b"))


def samples(shape: tuple[int, int, int], count: int = 4) -> list[Sample]:
    """Noise with two boxes."""
    random, out = np.random.default_rng(0), []
    for number in range(count):
        image, label = random.normal(size=shape).astype(np.float32), np.zeros(shape, np.uint8)
        for value in (1, 2):
            label[tuple(slice(value * size // 5, value * size // 5 + size // 4) for size in shape)] = value
        out.append(Sample(str(number), image + label, np.ones(shape, bool), Grid(shape, np.eye(4)), label))
    return out


def method(network: NetworkSpec, grid: GridSpec, seed: int = 0) -> SourceOnly:
    """Source-only training: one labelled batch per step is learned from."""
    return SourceOnly(build_network(network, grid.spatial_dims, 1, 3, seed), TASK)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def ours(
    network: NetworkSpec, grid: GridSpec, batch: int, pool: list[Sample], device: torch.device, seconds: float
) -> dict[str, float]:
    """Train for about `seconds`, after as many steps as warm it up."""
    choice = choose_precision(network, grid, 3, device, "training")
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
                began, used = time.perf_counter(), time.process_time()
                part = Path(folder) / str(steps)
                part.mkdir()
                bfloat16 = choice.is_bfloat16
                train(method(network, grid), labelled, unlabelled, Budget(steps=steps, batch=batch), device, part, progress,
                      bfloat16=bfloat16)  # fmt: skip
                synchronise(device)
                wall, cpu = time.perf_counter() - began, time.process_time() - used
    waited = labelled.waited_s + unlabelled.waited_s
    rates = {"steps_per_s": steps / wall, "cpu_s_per_step": cpu / steps}
    return {**rates, "waiting_share": waited / wall, "bfloat16": float(bfloat16)}


def operations(network: NetworkSpec, grid: GridSpec, batch: int) -> float:
    """Floating-point operations of one step."""
    net = build_network(network, grid.spatial_dims, 1, 3).to("meta")
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(batch, 1, *grid.patch[: grid.spatial_dims], device="meta")).sum().backward()
    return float(counter.get_total_flops())


def monai_batches(grid: GridSpec, batch: int, pool: list[Sample], workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches by MONAI's dictionary transforms in a DataLoader, with the same kinds of augmentation."""
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
    network: NetworkSpec, grid: GridSpec, batch: int, pool: list[Sample], device: torch.device, seconds: float,
    bfloat16: bool, workers: int,
) -> dict[str, float]:  # fmt: skip
    """MONAI's usual loop: one labelled batch a step; ours has a labelled and an unlabelled one, and learns from one."""
    net = build_network(network, grid.spatial_dims, 1, 3).to(device).train()
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
    began, used, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds or steps < 5:
        step()
        steps += 1
    synchronise(device)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    return {"steps_per_s": steps / wall, "cpu_s_per_step": cpu / steps}
