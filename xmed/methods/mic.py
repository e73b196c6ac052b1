"""Mic: structures that the student must name where they are hidden, from what lies around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Domains, Method, Schedule
from xmed.networks.mean_teacher_model import DistributionAlignment, Teacher, ramp_up
from xmed.prepare import Sample
from xmed.rendering.perturb import perturb_intensities, random_blocks
from xmed.rendering.random_convolution import random_convolutions
from xmed.tasks import Segmentation


class Mic(Method):
    """Masked image consistency: pseudo-labels of a mean teacher on whole target patches, for a student of masked ones.

    Begins with the net of `gin`, and shows the source through random convolutions further on. weight: of the
    pseudo-labels' loss. confidence: that the best known class needs in a voxel; one that the teacher is less sure of
    on average needs less. mask, cell: share and edge (voxels) of the hidden blocks; only every second patch has any
    (MAPSeg's halves), or batch statistics would be those of holes. decay: of the teacher. align: of its class shares.
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
        self.alignment.set_expected(domains.source)
        return domains.source

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        b = len(source.image)
        label, sure = self.judged(self.alignment(self.teacher.probabilities(target.image), target.fov), target.fov)
        shown = perturb_intensities(target.image, target.fov)
        gone = random_blocks(shown, self.mask, self.cell)
        gone[::2] = False
        varied = random_convolutions(source.image, source.fov)
        logits = self.net(torch.cat([varied, shown.masked_fill(gone, 0)]))  # 0 is the mean intensity
        return {
            "supervised": self.task.loss(logits[:b], source.truth, source.fov),
            "masked": self.weight * ramp_up(self.progress) * self.task.loss(logits[b:], label, sure),
        }

    @torch.no_grad()
    def judged(self, p: Tensor, fov: Tensor | None) -> tuple[Tensor, Tensor]:
        """Teacher's probabilities (b, classes, ...) → its label of every voxel and a weight per voxel, 1 or 0.

        The threshold of class c is confidence · surety_c / max surety: FreeMatch eq. 8, with the mean over voxels that
        have the label in place of that over all voxels, which here would measure an organ's size.
        """
        best, label = p.max(1)
        seen = torch.ones_like(label, dtype=torch.bool) if fov is None else fov
        for value in label[seen].unique():
            self.surety[value] = self.surety[value].lerp(best[seen & (label == value)].mean(), 0.1)
        needed = self.confidence * self.surety / self.surety.max()
        return label, ((best >= needed[label]) & seen).to(p.dtype)

    def after_step(self) -> None:
        self.teacher.update(self.net)

    def forward(self, image: Tensor) -> Tensor:
        return self.teacher.net(image)

    def deployed(self) -> nn.Module:
        return self.teacher.net
