"""Precision: whether a network computes faster in bfloat16 than in float32 here, which a short measurement tells.

No flag of a processor tells it: with AVX-512 BF16 alone a step has been 1.4 times slower on one processor and 2 to 2.4
times faster on another (LOG.md). The answer is kept in the home, so that all trainings of a home compute alike, and
stands in the provenance of each.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.files.locks import hold_short_lock
from xmed.files.permissions import make_private_home
from xmed.home import Home
from xmed.networks.architectures import build_network
from xmed.processes.processor import cpu, cpu_flags
from xmed.records import record
from xmed.records.precision_choice import PrecisionChoice, PrecisionChoices
from xmed.spec import GridSpec, NetworkSpec

VARIABLE = "XMED_PRECISION"
"""The environment variable that states the precision, so that nothing is measured: float32 or bfloat16."""
FLOAT32, BFLOAT16 = "float32", "bfloat16"
LEAST_GAIN = 1.1
"""How many times faster bfloat16 must be. Equal speed is no reason to round."""
SECONDS = 1.5
"""About how long a measurement takes."""
LEAST_TURNS, MOST_TURNS = 1, 3
"""Counted steps of each precision with patches of one size."""
PROBE_EDGE = {2: 96, 3: 48}
"""Largest edge of the patches that are measured, by the number of dimensions: larger ones have the same ratio."""
PROBE_BATCH = {2: 4, 3: 2}

_of_this_process: dict[str, PrecisionChoice] = {}
"""What this process has measured."""


def choose_precision(
    network: NetworkSpec, grid: GridSpec, classes: int, device: torch.device, step: str, home: Home | None = None
) -> PrecisionChoice:
    """Say in which precision a network computes on this machine; measure it where the home does not know it yet.

    Args:
        network: The network.
        grid: Patch size and number of neighbouring slices.
        classes: Number of output channels.
        device: The device that computes.
        step: "training" (forward and backward) or "prediction" (forward).
        home: The home that keeps the answer; by default the current one where it exists.

    Returns:
        The precision, with the measured times.

    Raises:
        XmedError: USAGE where XMED_PRECISION is neither float32 nor bfloat16.
    """
    stated = os.environ.get(VARIABLE, "")
    if stated not in ("", FLOAT32, BFLOAT16):
        raise XmedError("USAGE", f"{VARIABLE}={stated}", f"{FLOAT32} or {BFLOAT16}", f"set or unset {VARIABLE}")
    about = {
        "step": step,
        "network": f"{network.name} {'-'.join(map(str, network.channels))}",
        "spatial_dims": grid.spatial_dims,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu(),
        "threads": torch.get_num_threads() if device.type == "cpu" else 0,
        "torch": torch.__version__,
    }
    if stated:
        return PrecisionChoice.model_validate({"precision": stated, "reason": VARIABLE, **about})
    key = digest([about, cpu_flags(), device.type, classes, grid.channels, _edges(network, grid)])
    kept_in = home or Home.current()
    if not kept_in.folder.is_dir():
        return _measured(key, network, grid, classes, device, about)
    path = kept_in.precision
    try:
        make_private_home(kept_in.folder)
        # One at a time: trainings side by side would disturb each other's measurement.
        with hold_short_lock(path.with_suffix(".lock")):
            stored = record.read_record(PrecisionChoices, path) if path.is_file() else PrecisionChoices(choices={})
            if key not in stored.choices:
                choice = _measured(key, network, grid, classes, device, about)
                stored = PrecisionChoices(choices={**stored.choices, key: choice})
                record.write(stored, path)
            return stored.choices[key]
    except OSError:  # who may only read a home can predict all the same
        return _measured(key, network, grid, classes, device, about)


def _measured(
    key: str, network: NetworkSpec, grid: GridSpec, classes: int, device: torch.device, about: dict[str, Any]
) -> PrecisionChoice:
    """Measure, once in a process: a program that predicts without a home would measure before every volume."""
    if key not in _of_this_process:
        dims = grid.spatial_dims
        net = build_network(network, dims, grid.channels, classes, seed=0)
        edges = _edges(network, grid)
        images = (
            torch.zeros(PROBE_BATCH[dims], grid.channels, *(min(edge, most) for edge in edges), device=device)
            for most in _doubled(2 ** (len(network.channels) - 1), max(edges))
        )
        seconds = measure(net.to(device), images, training=about["step"] == "training")
        chosen = BFLOAT16 if seconds[FLOAT32] >= LEAST_GAIN * seconds[BFLOAT16] else FLOAT32
        times = {f"{name}_ms": round(1000 * s, 2) if math.isfinite(s) else None for name, s in seconds.items()}
        _of_this_process[key] = PrecisionChoice.model_validate(
            {"precision": chosen, "reason": "measured", **about, **times}
        )
    return _of_this_process[key]


def measure(net: nn.Module, images: Iterable[torch.Tensor], training: bool) -> dict[str, float]:
    """Time a network in both precisions, in turns, so that what else the machine does meets both alike.

    Where a processor has no instructions for bfloat16, a step can take 150 times as long. So it begins with the
    smallest patches, and goes on to the next size only if that fits into SECONDS.

    Args:
        net: The network, on the device that computes.
        images: Patches (b, c, i, j[, k]) on the same device, from small to large.
        training: Whether the backward pass is measured, too.

    Returns:
        Precision → least time in s of a step with the largest patches that were measured; infinite where the device
        cannot compute in it.
    """
    net.train(training)
    began, seconds, voxels = time.perf_counter(), {FLOAT32: math.inf, BFLOAT16: math.inf}, 0
    for image in images:
        layout = torch.channels_last if image.dim() == 4 else torch.channels_last_3d
        net, image = net.to(memory_format=layout), image.to(memory_format=layout)  # type: ignore[call-overload]
        expected = sum(s for s in seconds.values() if math.isfinite(s)) * image.numel() / max(voxels, 1)
        if voxels and time.perf_counter() - began + (1 + LEAST_TURNS) * expected > SECONDS:
            break
        seconds, voxels = _least_seconds(net, image, training, began + SECONDS), image.numel()
    net.zero_grad(set_to_none=True)
    return seconds


def _least_seconds(net: nn.Module, image: torch.Tensor, training: bool, until: float) -> dict[str, float]:
    """Time several steps of each precision with patches of one size; see `measure`."""
    seconds = {FLOAT32: math.inf, BFLOAT16: math.inf}
    for turn in range(1 + MOST_TURNS):
        for name in seconds:
            try:
                spent = _seconds_of_step(net, image, training, bfloat16=name == BFLOAT16)
            except RuntimeError:  # a device that has no bfloat16
                continue
            if turn:  # the first step chooses algorithms and is not counted
                seconds[name] = min(seconds[name], spent)
        if turn >= LEAST_TURNS and time.perf_counter() > until:
            break
    return seconds


def _seconds_of_step(net: nn.Module, image: torch.Tensor, training: bool, bfloat16: bool) -> float:
    began = time.perf_counter()
    with (
        torch.set_grad_enabled(training),
        torch.autocast(image.device.type, torch.bfloat16, enabled=bfloat16),
    ):
        logits = net(image)
    if training:
        logits.float().square().mean().backward()
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
    return time.perf_counter() - began


def _edges(network: NetworkSpec, grid: GridSpec) -> list[int]:
    """Edges of the measured patches: those of the grid where these are small, as the network can halve them."""
    multiple = 2 ** (len(network.channels) - 1)
    limit = PROBE_EDGE[grid.spatial_dims]
    return [max(multiple, min(edge, limit) // multiple * multiple) for edge in grid.patch[: grid.spatial_dims]]


def _doubled(first: int, last: int) -> list[int]:
    """`first`, twice that, and so on below `last`, then `last`."""
    return [*(first << n for n in range(32) if first << n < last), last]
