"""Mean teacher: predictions of perturbed target patches must equal those of the network's moving average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Domains, Method, Schedule
from xmed.networks.mean_teacher_model import DistributionAlignment, Teacher, class_balanced_mean, ramp_up
from xmed.prepare import Sample
from xmed.rendering.appearance_change import random_convolutions
from xmed.rendering.perturb import perturb_intensities
from xmed.tasks import Segmentation


class MeanTeacher(Method):
    """Self-ensembling on the target, begun with the network that random convolutions of the source have trained.

    A teacher that knows little confirms its own errors. So this method starts where `gin` ends, and the source still
    passes through random convolutions.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the consistency (3 in French et al.).
        confidence: Probability that the teacher needs in a voxel, judged voxel by voxel.
        decay: Decay of the teacher.
        align: Strength of distribution alignment; 0 for none.
    """

    cite: ClassVar[str] = (
        "Tarvainen & Valpola, NeurIPS 2017, arXiv:1703.01780; with confidence for domain adaptation: French et al., "
        "ICLR 2018, arXiv:1706.05208; for segmentation: Perone et al., NeuroImage 2019, arXiv:1811.06042"
    )
    schedule: ClassVar[Schedule] = Schedule(start="gin", steps=0.6, rate=0.5)

    def __init__(
        self,
        net: nn.Module,
        task: Segmentation,
        weight: float = 3.0,
        confidence: float = 0.9,
        decay: float = 0.99,
        align: float = 0.5,
    ) -> None:
        super().__init__(net, task)
        self.weight, self.confidence = weight, confidence
        self.teacher, self.alignment = Teacher(net, decay), DistributionAlignment(task.classes, align)

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Take the expected class shares from the source; return the source."""
        self.alignment.set_expected(domains.source)
        return domains.source

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss + weight · ramp · consistency of perturbed target patches with the teacher."""
        b = len(source.image)
        p = self.alignment(self.teacher.probabilities(target.image), target.fov)
        varied = random_convolutions(source.image, self.random, source.fov)
        # One common batch: the running statistics that the teacher averages are then those of both domains.
        logits = self.net(torch.cat([varied, perturb_intensities(target.image, self.random, target.fov)])).float()
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


def consistency_loss(logits: Tensor, p: Tensor, confidence: float, fov: Tensor | None) -> Tensor:
    """Return the mean squared difference between the student's and the teacher's probabilities, class-balanced.

    The mean is taken over classes, then over the voxels in view in which the teacher reaches `confidence`, with equal
    weight for every class that the teacher predicts there. This is the class balance of French et al., section 3.4,
    without their loss that pulls towards equal class sizes.

    Args:
        logits: The student's, (b, classes, i, j[, k]).
        p: The teacher's probabilities of the same shape.
        confidence: Threshold of the teacher's largest probability.
        fov: Field of view, bool (b, i, j[, k]), or None.
    """
    best, label = p.max(1)
    difference = ((logits.softmax(1) - p) ** 2).mean(1)
    confident = best >= confidence
    return class_balanced_mean(difference, label, confident if fov is None else confident & fov)
