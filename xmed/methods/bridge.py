"""Bridge: render the labelled source in the target's physics, learn from that, then from the target itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from xmed.appearance.disturb import hidden
from xmed.appearance.gin import random_convolutions
from xmed.appearance.imitate import imitations
from xmed.batch import Batch
from xmed.methods.method import Domains, Method, Schedule
from xmed.nets.teacher import Alignment, Teacher, ramp_up
from xmed.prepare import Sample
from xmed.tasks import Segmentation

TEACH_FROM = 0.65
"""Share of the training that goes into renderings alone: a net that knows little would confirm its own errors."""


class Bridge(Method):
    """Physics renderings of the source, then a masked mean teacher on the target.

    pool: renderings made, once. gin: share of each batch that also goes through random convolutions. weight,
    confidence: of the pseudo-labels.
    align: how far the teacher's probability of a structure that it sees less of in the target than renderings hold is
    raised (distribution alignment, Berthelot et al., ReMixMatch, ICLR 2020, with this exponent, and never downwards: a
    population of target organs may be larger).
    mask, cell: share and edge (voxels) of the blocks hidden from the student. decay: of the teacher. prior: a class
    whose pseudo-labelled share of a batch is above max · prior of the renderings' is not taught in it, and nothing at
    all is where a structure's share is below min / prior.
    """

    cite: ClassVar[str] = (
        "xmed; masked self-training: Hoyer et al., MIC, CVPR 2023, arXiv:2212.01322; Tarvainen & Valpola, NeurIPS 2017"
    )
    share: Tensor
    schedule: ClassVar[Schedule] = Schedule(milestones=(TEACH_FROM, 1.0))
    renders: ClassVar[bool] = True

    def __init__(
        self,
        net: nn.Module,
        task: Segmentation,
        pool: int = 120,
        gin: float = 0.25,
        weight: float = 1.0,
        confidence: float = 0.7,
        align: float = 0.5,
        mask: float = 0.3,
        cell: int = 12,
        decay: float = 0.99,
        prior: float = 2.0,
    ) -> None:
        super().__init__(net, task)
        self.pool, self.gin, self.weight, self.confidence = pool, gin, weight, confidence
        self.mask, self.cell, self.prior = mask, cell, prior
        self.teacher, self.alignment = Teacher(net, decay, own_statistics=True), Alignment(task.classes, align)
        self.register_buffer("share", torch.zeros(2, task.classes))  # smallest and largest of a labelled batch

    def survey(self, domains: Domains) -> Sequence[Sample]:
        random = np.random.default_rng([domains.seed, 7])
        asked = domains.target_modality, domains.target_window, random, domains.scene
        made = imitations(self.pool, domains.source, domains.target, *asked)
        self.alignment.expect(made)
        return made

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        image = source.image
        altered = round(self.gin * len(image))
        if altered:
            seen = None if source.fov is None else source.fov[:altered]
            image = torch.cat([random_convolutions(image[:altered], seen), image[altered:]])
        losses = {"rendered": self.task.loss(self.net(image), source.truth, source.fov)}
        self._remember(source)
        if self.progress >= TEACH_FROM:
            losses["taught"] = self._teach(target)
        return losses

    def _remember(self, source: Batch) -> None:
        """Widen the range of shares that a structure takes of a labelled patch, as seen so far."""
        share = _shares(source.truth, source.fov, self.task.classes)
        started = self.teacher.steps > 0
        self.share[0] = torch.where(started, torch.minimum(self.share[0], share), share)
        self.share[1] = torch.where(started, torch.maximum(self.share[1], share), share)

    def _teach(self, target: Batch) -> Tensor:
        """Loss of the student on hidden-block target patches against the teacher on whole ones, inside the fov only."""
        with torch.no_grad():
            p = self.alignment(self.teacher.probabilities(target.image), target.fov)
            label, sure = self.task.pseudo_label(p, self.confidence)
            if target.fov is not None:
                sure = sure * target.fov
            share = _shares(label, target.fov, self.task.classes)
            missing, spread = share < self.share[0] / self.prior, share > self.share[1] * self.prior
            # Where a structure has vanished, background is what a collapse would teach, and the other structures, which
            # would go on being taught, would spread: such a batch teaches nothing.
            sure = sure * ~spread[label] * ~missing[1:].any()
        taught = (self.progress - TEACH_FROM) / (1 - TEACH_FROM)
        weight = self.weight * ramp_up(taught, over=0.2)
        gone = hidden(target.image, self.mask, self.cell)
        gone[::2] = False  # half of the patches stay whole, or batch statistics would be those of holes
        return weight * self.task.loss(self.net(target.image.masked_fill(gone, 0)), label, sure)

    def after_step(self) -> None:
        self.teacher.follow(self.net)

    def forward(self, image: Tensor) -> Tensor:
        return self.teacher.net(image)

    def deployed(self) -> nn.Module:
        return self.teacher.net


def _shares(label: Tensor, fov: Tensor | None, classes: int) -> Tensor:
    """Share of the (seen) voxels of a batch that each class takes, (classes,)."""
    seen = label if fov is None else label[fov]
    return torch.bincount(seen.flatten(), minlength=classes).float() / max(seen.numel(), 1)
