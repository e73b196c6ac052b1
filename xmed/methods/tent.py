"""Tent: batch statistics and normalisation's gains for each volume anew, by the entropy of its predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method, Schedule
from xmed.networks import batchnorm_layers, load_tensors, named_tensors
from xmed.networks.collapse_check import foreground_vanished, foreground_voxels
from xmed.tasks import Segmentation


class Tent(Method):
    """Entropy minimisation at test time, from the source-only weights for every volume; nothing is learned before.

    steps, rate: of Adam on each volume (the paper's 1e-3 is for streams of pictures; a tenth for dense labels). The
    entropy counts inside the field of view only, over the log of the number of classes. A volume whose foreground
    vanishes under it, which entropy does not see, is left to the un-adapted net.
    """

    cite: ClassVar[str] = "Wang et al., Tent, ICLR 2021, arXiv:2006.10726"
    schedule: ClassVar[Schedule] = Schedule(start="source_only", steps=0.0)
    test_time: ClassVar[bool] = True

    def __init__(self, net: nn.Module, task: Segmentation, steps: int = 10, rate: float = 1e-4) -> None:
        super().__init__(net, task)
        batchnorm_layers(net)  # or there is nothing to adapt
        self.steps, self.rate = steps, rate

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """None: all learning happens on the volume that is to be predicted."""
        del source, target
        return {}

    def adapt(self, volume: Iterator[Batch]) -> None:
        where = next(self.net.parameters()).device
        first = next(volume).to(where)
        before, kept = foreground_voxels(self.net, first), {k: v.clone() for k, v in named_tensors(self.net).items()}
        layers = batchnorm_layers(self.net)
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # what evaluation will use: the mean over the batches of this volume
        self.net.train().requires_grad_(False)
        gains = [p.requires_grad_(True) for layer in layers for p in layer.parameters()]
        optimiser = torch.optim.Adam(gains, lr=self.rate)
        for _ in range(self.steps):
            batch = next(volume).to(where)
            loss = normalised_entropy(self.net(batch.image), batch.fov)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if foreground_vanished(before, foreground_voxels(self.net, first)):
            load_tensors(self.net, kept)


def normalised_entropy(logits: Tensor, fov: Tensor | None) -> Tensor:
    """Mean of −Σ p log p / log C over the voxels in view, scalar in [0, 1]; logits (b, C, i, j[, k])."""
    log_p = logits.float().log_softmax(1)
    each = -(log_p.exp() * log_p).sum(1) / math.log(logits.shape[1])
    seen = torch.ones_like(each) if fov is None else fov.to(each.dtype)
    return (each * seen).sum() / seen.sum().clamp_min(1.0)
