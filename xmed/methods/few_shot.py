"""Few-shot adaptation: a few labelled target cases beside the source, and a mean teacher on the unlabelled target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.errors import XmedError
from xmed.methods.mean_teacher import consistency_loss
from xmed.methods.method import Domains, Method, Schedule
from xmed.networks.mean_teacher_model import Teacher, ramp_up
from xmed.prepare import Sample
from xmed.rendering.perturb import perturb_intensities
from xmed.tasks import Segmentation


class FewShot(Method):
    """Semi-supervised adaptation: `shots` target training cases with their labels take half of the draws.

    Starts with the network of `gin`. The seed of the training draws the cases.

    Args:
        net: The network.
        task: The segmentation task.
        shots: Number of labelled target training cases.
        weight: Weight of the consistency on the target.
        confidence: Probability that the teacher needs in a voxel.
        decay: Decay of the teacher.
    """

    cite: ClassVar[str] = (
        "Saito et al., Semi-supervised domain adaptation, ICCV 2019, arXiv:1904.06487; "
        "Tarvainen & Valpola, NeurIPS 2017, arXiv:1703.01780"
    )
    target_labels: ClassVar[Literal["none", "few", "all"]] = "few"
    schedule: ClassVar[Schedule] = Schedule(start="gin", steps=0.6, rate=0.5)

    def __init__(
        self,
        net: nn.Module,
        task: Segmentation,
        shots: int = 2,
        weight: float = 3.0,
        confidence: float = 0.9,
        decay: float = 0.99,
    ) -> None:
        super().__init__(net, task)
        self.shots, self.weight, self.confidence = shots, weight, confidence
        self.teacher = Teacher(net, decay)

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Return the source cases and `shots` labelled target cases, repeated until they take half of the draws.

        Raises:
            XmedError: METHOD_NEEDS where there are fewer labelled target cases.
        """
        if len(domains.few) < self.shots:
            raise XmedError(
                "METHOD_NEEDS", f"{len(domains.few)} labelled target training cases", f"{self.shots}, as `shots` says",
                "label more of them, or ask for fewer",
            )  # fmt: skip
        chosen = np.random.default_rng([domains.seed, 19]).choice(len(domains.few), self.shots, replace=False)
        # Batches are drawn case by case: the few are repeated until they are as many as the source cases.
        repeats = -(-len(domains.source) // self.shots)
        return [*domains.source, *[domains.few[n] for n in chosen] * repeats]

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the losses of one step; `source` holds patches of the source and of the few labelled target cases."""
        b = len(source.image)
        p = self.teacher.probabilities(target.image)
        logits = self.net(torch.cat([source.image, perturb_intensities(target.image, self.random, target.fov)])).float()
        consistency = consistency_loss(logits[b:], p, self.confidence, target.fov)
        return {
            "supervised": self.task.loss(logits[:b], source.reference, source.fov),
            "consistency": self.weight * ramp_up(self.progress) * consistency,
        }

    def after_step(self) -> None:
        self.teacher.update(self.net)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.teacher.net(image)
        return logits

    def deployed(self) -> nn.Module:
        return self.teacher.net
