"""Bridge: render the labelled source in the target's physics, learn from that, then from the target itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Domains, Method, Schedule
from xmed.networks import load_tensors, named_tensors
from xmed.networks.mean_teacher_model import DistributionAlignment, Teacher, ramp_up
from xmed.prepare import Sample
from xmed.rendering.perturb import random_blocks
from xmed.rendering.random_convolution import random_convolutions
from xmed.rendering.synthesise import renderings_as_target
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
    own_statistics: the teacher normalises the target by the target's statistics; without, student and teacher have one
    set for renderings and target. Unlabelled target cases show which: on usgra's training pictures one and the same net
    called 6.6 % vessel with them, much of it plain dark voids, and 2.6 % without; the renderings hold 3.7 %.
    counted: see Alignment.
    rounds: in each further one the student begins as what the last one would deploy, and is taught from its first step
    on (Xie et al., Noisy Student, CVPR 2020, with the student no larger than its teacher).
    enlarge: whether small volumes are enlarged before the deployed net sees them, if that is how it finds structures
    where labelled cases have them (see Model.learn_scale); between tomographs only.
    """

    cite: ClassVar[str] = (
        "xmed; masked self-training: Hoyer et al., MIC, CVPR 2023, arXiv:2212.01322; Tarvainen & Valpola, NeurIPS 2017"
    )
    share: Tensor
    teach_from: Tensor
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
        own_statistics: bool = True,
        counted: bool = False,
        rounds: int = 2,
        enlarge: bool = True,
    ) -> None:
        super().__init__(net, task, rounds)
        self.pool, self.gin, self.weight, self.confidence = pool, gin, weight, confidence
        self.mask, self.cell, self.prior, self.enlarge = mask, cell, prior, enlarge
        self.teacher = Teacher(net, decay, own_statistics=own_statistics)
        self.alignment = DistributionAlignment(task.classes, align, counted)
        self.register_buffer("share", torch.zeros(2, task.classes))  # smallest and largest of a labelled batch
        self.register_buffer("teach_from", torch.tensor(TEACH_FROM))

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        random = np.random.default_rng([domains.seed, 7])
        asked = domains.target_modality, domains.target_window, random, domains.scene
        made = renderings_as_target(self.pool, domains.source, domains.target, *asked)
        self.alignment.set_expected(made)
        return made

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        image = source.image
        altered = round(self.gin * len(image))
        if altered:
            seen = None if source.fov is None else source.fov[:altered]
            image = torch.cat([random_convolutions(image[:altered], seen), image[altered:]])
        taught = bool(self.progress >= self.teach_from)
        shown = self._partly_hidden(target.image) if taught else target.image[:0]
        if self.teacher.own_statistics:
            ours, theirs = self.net(image), self.net(shown) if taught else shown
        else:  # one set of statistics for both is what the teacher, and then the model, will be deployed with
            ours, theirs = self.net(torch.cat([image, shown])).split([len(image), len(shown)])
        losses = {"rendered": self.task.loss(ours, source.truth, source.fov)}
        self._remember(source)
        if taught:
            losses["taught"] = self._teach(target, theirs)
        return losses

    def _partly_hidden(self, image: Tensor) -> Tensor:
        gone = random_blocks(image, self.mask, self.cell)
        gone[::2] = False  # half of the patches stay whole, or batch statistics would be those of holes
        return image.masked_fill(gone, 0)

    def _remember(self, source: Batch) -> None:
        """Widen the range of shares that a structure takes of a labelled patch, as seen so far."""
        share = _shares(source.truth, source.fov, self.task.classes)
        started = self.teacher.steps > 0
        self.share[0] = torch.where(started, torch.minimum(self.share[0], share), share)
        self.share[1] = torch.where(started, torch.maximum(self.share[1], share), share)

    def _teach(self, target: Batch, logits: Tensor) -> Tensor:
        """Loss of the student's logits of hidden-block patches against the teacher on whole ones, in the fov only."""
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
        taught = (self.progress - self.teach_from) / (1 - self.teach_from)
        return self.weight * ramp_up(taught, over=0.2) * self.task.loss(logits, label, sure)

    def start_round(self) -> None:
        load_tensors(self.net, named_tensors(self.teacher.net))
        self.teach_from.zero_()
        self.alignment.reset()

    def after_step(self) -> None:
        self.teacher.update(self.net)

    def forward(self, image: Tensor) -> Tensor:
        return self.teacher.net(image)

    def deployed(self) -> nn.Module:
        return self.teacher.net


def _shares(label: Tensor, fov: Tensor | None, classes: int) -> Tensor:
    """Share of the (seen) voxels of a batch that each class takes, (classes,)."""
    seen = label if fov is None else label[fov]
    return torch.bincount(seen.flatten(), minlength=classes).float() / max(seen.numel(), 1)
