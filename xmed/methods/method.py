"""Method: the one interface of every way to learn from a labelled source and an unlabelled target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.prepare import Sample
from xmed.tasks import Segmentation


@dataclass(frozen=True)
class Domains:
    """What a method may look at once, before the first step: whole volumes on the net's grid.

    source: labelled Samples. target: Samples without labels. Modalities are DICOM codes; a window is how a domain's raw
    intensities are clipped before normalisation. seed: of this training.
    """

    source: Sequence[Sample]
    target: Sequence[Sample]
    source_modality: str
    target_modality: str
    target_window: tuple[float, float] | None
    seed: int


class Method(nn.Module, ABC):
    """Owns the net and whatever else it trains. Classes are abstract or final: no method subclasses another."""

    cite: ClassVar[str]
    """The paper."""
    uses_target_labels: ClassVar[bool] = False
    """True only for the supervised ceiling: its models are marked non-deployable and the registry refuses them."""
    milestones: ClassVar[tuple[float, ...]] = (1.0,)
    """Shares of the training after which a candidate is kept; the label-free guards choose among them."""

    progress: Tensor
    """Share of the steps done; set by the loop, saved with the rest."""

    def __init__(self, net: nn.Module, task: Segmentation) -> None:
        super().__init__()
        self.net, self.task = net, task
        self.register_buffer("progress", torch.zeros(()))

    def survey(self, domains: Domains) -> Sequence[Sample]:
        """Look at whole volumes once, before the first step; return what the source batches are drawn from."""
        return domains.source

    @abstractmethod
    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Named scalars; the loop minimises their sum and logs each."""

    def after_step(self) -> None:
        """Moving averages and the like, after every optimiser step."""
        return

    def forward(self, image: Tensor) -> Tensor:
        """What is deployed: image (b, c, i, j[, k]) → logits (b, classes, i, j[, k])."""
        return self.net(image)

    def deployed(self) -> nn.Module:
        """The network whose weights are shipped: what `forward` runs."""
        return self.net
