"""Adabn: the source's weights with the target's batch statistics, and nothing else learned."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method, Schedule
from xmed.networks import batchnorm_layers
from xmed.tasks import Segmentation


class Adabn(Method):
    """Running statistics measured anew on the unlabelled target, the mean over all of its batches.

    Starts with the source-only net. Needs batch normalisation, of any dimension.
    """

    cite: ClassVar[str] = "Li et al., Revisiting batch normalization for practical domain adaptation, arXiv:1603.04779"
    schedule: ClassVar[Schedule] = Schedule(start="source_only", steps=0.1)
    started: Tensor

    def __init__(self, net: nn.Module, task: Segmentation) -> None:
        super().__init__(net, task)
        self.layers = tuple(batchnorm_layers(net))  # a tuple: the net owns them
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """None: only the statistics move. They are forgotten at the first step, and averaged from then on."""
        del source
        for layer in self.layers:
            layer.momentum = None  # PyTorch's cumulative mean over all batches since the reset
            if not self.started:
                layer.reset_running_stats()
        self.started.fill_(True)
        with torch.no_grad():
            self.net(target.image)
        return {}
