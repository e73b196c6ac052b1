"""Bridge: render the labelled source in the physics of the target modality, learn from that, then from the target."""

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
from xmed.rendering.appearance_change import random_convolutions
from xmed.rendering.perturb import random_blocks
from xmed.rendering.synthesise import renderings_as_target
from xmed.tasks import Segmentation

TEACH_FROM = 0.65
"""Share of the first round that learns from renderings alone: the pseudo-labels of a network that knows little would
confirm its own errors.
"""


class Bridge(Method):
    """Physics renderings of the source, then a masked mean teacher on the target.

    Args:
        net: The network.
        task: The segmentation task.
        pool: Number of renderings, made once before the training.
        gin: Share of each batch that also passes through random convolutions.
        weight: Weight of the pseudo-label loss.
        confidence: Probability that a voxel's pseudo-label needs.
        align: Strength of distribution alignment (Berthelot et al., ReMixMatch, ICLR 2020): the exponent with which the
            teacher's probability of a structure is raised, where it predicts less of it in the target than renderings
            hold. Never lowered: organs of the target population may be larger.
        mask: Share of the blocks that are hidden from the student.
        cell: Edge of a hidden block in voxels.
        decay: Decay of the teacher.
        prior: Tolerance of pseudo-labelled shares. A class whose share of a batch is above `prior` times the largest
            share seen in a batch of renderings is not taught in that batch. Where a structure's share is below the
            smallest one divided by `prior`, the batch teaches nothing.
        own_statistics: True: the teacher normalises the target by the target's statistics. False: student and teacher
            share one set for renderings and target. Unlabelled target cases show which is better: on the training
            pictures of usgra one and the same network predicted 6.6 % vessel with them, much of it plain dark voids,
            and 2.6 % without; the renderings hold 3.7 %.
        counted: See `DistributionAlignment`.
        rounds: Number of rounds. In each further one the student starts as the network that the last one would deploy,
            and is taught from its first step (Xie et al., Noisy Student, CVPR 2020, here with a student no larger than
            its teacher).
        enlarge: Whether small volumes are enlarged before prediction, if that is how structures are found where
            labelled cases have them (see `volume_enlargement`). Between tomographs only.
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
        """Return `pool` renderings of the source, and take the expected class shares from them."""
        random = np.random.default_rng([domains.seed, 7])
        look = domains.target_modality, domains.target_window, random, domains.scene
        renderings = domains.hold(renderings_as_target(self.pool, domains.source, domains.target, *look))
        self.alignment.set_expected(renderings)
        return renderings

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss on renderings + (later) weight · ramp · pseudo-label loss on the target."""
        image = source.image
        altered = round(self.gin * len(image))
        if altered:
            fov = None if source.fov is None else source.fov[:altered]
            image = torch.cat([random_convolutions(image[:altered], self.random, fov), image[altered:]])
        teaches = bool(self.progress >= self.teach_from)
        masked = self._partly_hidden(target.image) if teaches else target.image[:0]
        if self.teacher.own_statistics:
            source_logits, target_logits = self.net(image), self.net(masked) if teaches else masked
        else:  # one set of statistics for both is what the teacher, and then the model, will be deployed with
            source_logits, target_logits = self.net(torch.cat([image, masked])).split([len(image), len(masked)])
        losses = {"rendered": self.task.loss(source_logits, source.reference, source.fov)}
        self._remember(source)
        if teaches:
            losses["taught"] = self._teach(target, target_logits)
        return losses

    def _partly_hidden(self, image: Tensor) -> Tensor:
        """Hide random blocks of every second patch; if all had holes, batch statistics would be those of holes."""
        blocks = random_blocks(image, self.mask, self.cell, self.random)
        blocks[::2] = False
        return image.masked_fill(blocks, 0)

    def _remember(self, source: Batch) -> None:
        """Widen the range of shares that each class has taken of a labelled batch so far."""
        share = _shares(source.reference, source.fov, self.task.classes)
        started = self.teacher.steps > 0
        self.share[0] = torch.where(started, torch.minimum(self.share[0], share), share)
        self.share[1] = torch.where(started, torch.maximum(self.share[1], share), share)

    def _teach(self, target: Batch, logits: Tensor) -> Tensor:
        """Return the loss of the student on partly hidden patches against the teacher on whole ones, in view only.

        Args:
            target: Whole target patches.
            logits: The student's logits of the partly hidden patches (b, classes, i, j[, k]).
        """
        with torch.no_grad():
            p = self.alignment(self.teacher.probabilities(target.image), target.fov)
            label, weight = self.task.pseudo_label(p, self.confidence)
            if target.fov is not None:
                weight = weight * target.fov
            share = _shares(label, target.fov, self.task.classes)
            too_small, too_large = share < self.share[0] / self.prior, share > self.share[1] * self.prior
            # Where a structure has vanished, teaching background would complete the collapse, and the other structures
            # would spread. So such a batch teaches nothing.
            weight = weight * ~too_large[label] * ~too_small[1:].any()
        progress = (self.progress - self.teach_from) / (1 - self.teach_from)
        return self.weight * ramp_up(progress, over=0.2) * self.task.loss(logits, label, weight)

    def start_round(self) -> None:
        """Start as the network that the last round would deploy, taught from the first step on."""
        load_tensors(self.net, named_tensors(self.teacher.net))
        self.teach_from.zero_()
        self.alignment.reset()

    def after_step(self) -> None:
        self.teacher.update(self.net)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.teacher.net(image)
        return logits

    def deployed(self) -> nn.Module:
        return self.teacher.net


def _shares(label: Tensor, fov: Tensor | None, classes: int) -> Tensor:
    """Return the share of the voxels in view of a batch that each class takes, (classes,)."""
    in_view = label if fov is None else label[fov]
    return torch.bincount(in_view.flatten(), minlength=classes).float() / max(in_view.numel(), 1)
