"""MIC: the student must name structures where they are hidden, from what surrounds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Domains, Method, Schedule
from xmed.networks.mean_teacher_model import DistributionAlignment, Teacher, ramp_up
from xmed.prepare import Sample
from xmed.rendering.appearance_change import random_convolutions
from xmed.rendering.perturb import perturb_intensities, random_blocks
from xmed.tasks import Segmentation


class Mic(Method):
    """Masked image consistency: pseudo-labels of a mean teacher on whole target patches, for a student of masked ones.

    Starts with the network of `gin`, and the source still passes through random convolutions.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the pseudo-label loss.
        confidence: Probability that the class with the highest mean confidence needs in a voxel. A class of which the
            teacher is less certain on average needs less.
        mask: Share of the blocks that are hidden. Only every second patch has hidden blocks (as in MAPSeg), or batch
            statistics would be those of holes.
        cell: Edge of a hidden block in voxels.
        decay: Decay of the teacher.
        align: Strength of distribution alignment.
    """

    cite: ClassVar[str] = (
        "Hoyer et al., MIC, CVPR 2023, arXiv:2212.01322; Zhang et al., MAPSeg, CVPR 2024, arXiv:2303.09373; "
        "thresholds per class: Wang et al., FreeMatch, ICLR 2023, arXiv:2205.07246"
    )
    schedule: ClassVar[Schedule] = Schedule(start="gin", steps=0.6, rate=0.5)
    surety: Tensor

    def __init__(
        self,
        net: nn.Module,
        task: Segmentation,
        weight: float = 1.0,
        confidence: float = 0.9,
        mask: float = 0.7,
        cell: int = 8,
        decay: float = 0.99,
        align: float = 0.5,
    ) -> None:
        super().__init__(net, task)
        self.weight, self.confidence, self.mask, self.cell = weight, confidence, mask, cell
        self.teacher, self.alignment = Teacher(net, decay), DistributionAlignment(task.classes, align)
        self.register_buffer("surety", torch.ones(task.classes))  # moving mean of the winner's probability, by class

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Take the expected class shares from the source; return the source."""
        self.alignment.set_expected(domains.source)
        return domains.source

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss + weight · ramp · loss of the masked student against the teacher's pseudo-labels."""
        b = len(source.image)
        label, weight = self.judged(self.alignment(self.teacher.probabilities(target.image), target.fov), target.fov)
        perturbed = perturb_intensities(target.image, self.random, target.fov)
        blocks = random_blocks(perturbed, self.mask, self.cell, self.random)
        blocks[::2] = False
        varied = random_convolutions(source.image, self.random, source.fov)
        logits = self.net(torch.cat([varied, perturbed.masked_fill(blocks, 0)]))  # 0 is the mean intensity
        return {
            "supervised": self.task.loss(logits[:b], source.reference, source.fov),
            "masked": self.weight * ramp_up(self.progress) * self.task.loss(logits[b:], label, weight),
        }

    @torch.no_grad()
    def judged(self, p: Tensor, fov: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the teacher's label of every voxel, and weight 1 where it is certain enough, else 0.

        The threshold of class c is confidence · surety_c / max surety (FreeMatch, eq. 8). Surety is the moving mean of
        the largest probability over the voxels that have the label. FreeMatch takes the mean over all samples, which
        would measure an organ's size here.

        Args:
            p: The teacher's probabilities (b, classes, i, j[, k]).
            fov: Field of view, bool (b, i, j[, k]), or None.
        """
        best, label = p.max(1)
        in_view = torch.ones_like(label, dtype=torch.bool) if fov is None else fov
        for value in label[in_view].unique():  # type: ignore[no-untyped-call]  # torch does not annotate it
            self.surety[value] = self.surety[value].lerp(best[in_view & (label == value)].mean(), 0.1)
        thresholds = self.confidence * self.surety / self.surety.max()
        return label, ((best >= thresholds[label]) & in_view).to(p.dtype)

    def after_step(self) -> None:
        self.teacher.update(self.net)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.teacher.net(image)
        return logits

    def deployed(self) -> nn.Module:
        return self.teacher.net
