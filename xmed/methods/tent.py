"""TENT: batch statistics and the affine parameters of normalisation are fitted to each volume by entropy."""

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

    The entropy counts inside the field of view only. Entropy does not notice a vanishing foreground, so a volume whose
    foreground vanishes keeps the unadapted network.

    Args:
        net: The network.
        task: The segmentation task.
        steps: Steps of Adam on each volume.
        rate: Learning rate of Adam. The paper's 1e-3 is for streams of pictures; a tenth of it suits dense labels.
    """

    cite: ClassVar[str] = "Wang et al., Tent, ICLR 2021, arXiv:2006.10726"
    schedule: ClassVar[Schedule] = Schedule(start="source_only", steps=0.0)
    test_time: ClassVar[bool] = True

    def __init__(self, net: nn.Module, task: Segmentation, steps: int = 10, rate: float = 1e-4) -> None:
        super().__init__(net, task)
        batchnorm_layers(net)  # raises where there is nothing to adapt
        self.steps, self.rate = steps, rate

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return no loss: all learning happens on the volume that is to be predicted."""
        del source, target
        return {}

    def adapt(self, volume: Iterator[Batch]) -> None:
        """Fit batch statistics and affine parameters of normalisation to the volume by entropy minimisation."""
        device = next(self.net.parameters()).device
        first = next(volume).to(device)
        voxels_before = foreground_voxels(self.net, first)
        weights_before = {name: tensor.clone() for name, tensor in named_tensors(self.net).items()}
        layers = batchnorm_layers(self.net)
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # running statistics become the mean over the batches of this volume
        self.net.train().requires_grad_(False)
        affine_parameters = [p.requires_grad_(True) for layer in layers for p in layer.parameters()]
        optimiser = torch.optim.Adam(affine_parameters, lr=self.rate)
        for _ in range(self.steps):
            batch = next(volume).to(device)
            loss = normalised_entropy(self.net(batch.image), batch.fov)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            optimiser.step()
        if foreground_vanished(voxels_before, foreground_voxels(self.net, first)):
            load_tensors(self.net, weights_before)


def normalised_entropy(logits: Tensor, fov: Tensor | None) -> Tensor:
    """Return the mean of −Σ p log p / log C over the voxels in view, scalar in [0, 1].

    Args:
        logits: (b, C, i, j[, k]).
        fov: Field of view, bool (b, i, j[, k]), or None.
    """
    log_p = logits.float().log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1) / math.log(logits.shape[1])
    counted = torch.ones_like(entropy) if fov is None else fov.to(entropy.dtype)
    return (entropy * counted).sum() / counted.sum().clamp_min(1.0)
