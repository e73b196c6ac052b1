"""AdaBN: the source-only weights with batch statistics of the target; nothing else is learned."""

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

    Starts with the source-only network. Needs batch normalisation, of any dimension.
    """

    cite: ClassVar[str] = "Li et al., Revisiting batch normalization for practical domain adaptation, arXiv:1603.04779"
    schedule: ClassVar[Schedule] = Schedule(start="source_only", steps=0.1)
    started: Tensor

    def __init__(self, net: nn.Module, task: Segmentation) -> None:
        super().__init__(net, task)
        self.layers = tuple(batchnorm_layers(net))  # a tuple, not a ModuleList: the network owns the layers
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Update the running statistics with one target batch; there is no loss.

        The first step resets the statistics, and from then on they are the mean over all batches.
        """
        del source
        for layer in self.layers:
            layer.momentum = None  # the cumulative mean over all batches since the reset
            if not self.started:
                layer.reset_running_stats()
        self.started.fill_(True)
        with torch.no_grad():
            self.net(target.image)
        return {}
