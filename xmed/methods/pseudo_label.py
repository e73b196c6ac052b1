"""PseudoLabel: rounds of self-training on the voxels that the last round's net was surest of, class by class."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method, Schedule
from xmed.networks.mean_teacher_model import Teacher, ramp_up
from xmed.rendering.perturb import perturb_intensities
from xmed.rendering.random_convolution import random_convolutions
from xmed.tasks import Segmentation


class PseudoLabel(Method):
    """Class-balanced self-training, begun with the net that random convolutions of the source have trained.

    At the beginning of each of `rounds` the net is copied, and the copy labels the target until the next. kept: share
    of the voxels of every class that is believed in the first and in the last round (the paper's 20 % to 50 %), its
    surest ones: so every class has a threshold of its own, and a rare organ is as well represented as background.
    weight: of the pseudo-labels' loss.
    """

    cite: ClassVar[str] = "Zou et al., Class-balanced self-training, ECCV 2018, arXiv:1810.07911"
    schedule: ClassVar[Schedule] = Schedule(start="gin", steps=0.6, rate=0.5)
    round: Tensor

    def __init__(
        self,
        net: nn.Module,
        task: Segmentation,
        weight: float = 1.0,
        rounds: int = 4,
        kept: tuple[float, float] = (0.2, 0.5),
    ) -> None:
        super().__init__(net, task)
        self.weight, self.labellings, self.kept = weight, rounds, kept  # `rounds` are the loop's
        self.labeller = Teacher(net, decay=0.0)
        self.register_buffer("round", torch.zeros(()))

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        b, now = len(source.image), float(torch.floor(self.progress * self.labellings))
        if now > self.round:
            self.round.fill_(now)
            self.labeller.update(self.net)
        first, last = self.kept
        share = first + (last - first) * now / max(self.labellings - 1, 1)
        label, believed = most_confident(self.labeller.probabilities(target.image), share, target.fov)
        varied = random_convolutions(source.image, source.fov)
        logits = self.net(torch.cat([varied, perturb_intensities(target.image, target.fov)]))
        return {
            "supervised": self.task.loss(logits[:b], source.truth, source.fov),
            "pseudo": self.weight * ramp_up(self.progress) * self.task.loss(logits[b:], label, believed),
        }


def most_confident(p: Tensor, share: float, fov: Tensor | None) -> tuple[Tensor, Tensor]:
    """The winning label (b, i, j[, k]), and weight 1 for the surest `share` of each label's voxels.

    The threshold of a class is the (1 − share) quantile of the winning probability over the voxels in view that it won
    (algorithm 2 of the paper, over a batch in place of the whole target); 0 everywhere else.
    """
    best, label = p.max(1)
    seen = torch.ones_like(label, dtype=torch.bool) if fov is None else fov
    believed = torch.zeros_like(seen)
    for value in label[seen].unique():
        own = seen & (label == value)
        sorted_best = best[own].sort().values
        believed |= own & (best >= sorted_best[int((1 - share) * len(sorted_best))])
    return label, believed.to(p.dtype)
