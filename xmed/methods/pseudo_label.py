"""Class-balanced self-training: rounds of learning from the most confident predictions of the previous round."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method, Schedule
from xmed.networks.mean_teacher_model import Teacher, ramp_up
from xmed.rendering.appearance_change import random_convolutions
from xmed.rendering.perturb import perturb_intensities
from xmed.tasks import Segmentation


class PseudoLabel(Method):
    """Class-balanced self-training, begun with the network that random convolutions of the source have trained.

    At the beginning of each round the network is copied, and the copy labels the target until the next round.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the pseudo-label loss.
        rounds: Number of times the target is labelled anew.
        kept: Share of the most confident voxels of every class that is used in the first and in the last round (20 % to
            50 % in the paper). So every class has its own threshold, and a rare organ is represented as well as
            background.
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
        self.weight, self.labellings, self.kept = weight, rounds, kept  # `Method.rounds` is another thing: the loop's
        self.labeller = Teacher(net, decay=0.0)
        self.register_buffer("round", torch.zeros(()))

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss + weight · ramp · loss against the pseudo-labels of this round."""
        b, current = len(source.image), float(torch.floor(self.progress * self.labellings))
        if current > self.round:
            self.round.fill_(current)
            self.labeller.update(self.net)
        first, last = self.kept
        share = first + (last - first) * current / max(self.labellings - 1, 1)
        label, weight = most_confident(self.labeller.probabilities(target.image), share, target.fov)
        varied = random_convolutions(source.image, self.random, source.fov)
        logits = self.net(torch.cat([varied, perturb_intensities(target.image, self.random, target.fov)]))
        return {
            "supervised": self.task.loss(logits[:b], source.reference, source.fov),
            "pseudo": self.weight * ramp_up(self.progress) * self.task.loss(logits[b:], label, weight),
        }


def most_confident(p: Tensor, share: float, fov: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the predicted label, and weight 1 for the most confident `share` of each label's voxels in view, else 0.

    The threshold of a class is the (1 − share) quantile of the largest probability over the voxels in view that are
    predicted as that class (algorithm 2 of the paper, here over a batch and not the whole target).

    Args:
        p: Probabilities (b, classes, i, j[, k]).
        share: Share of each label's voxels.
        fov: Field of view, bool (b, i, j[, k]), or None.

    Returns:
        Labels int64 and weights, both (b, i, j[, k]).
    """
    best, label = p.max(1)
    in_view = torch.ones_like(label, dtype=torch.bool) if fov is None else fov
    selected = torch.zeros_like(in_view)
    for value in label[in_view].unique():  # type: ignore[no-untyped-call]  # torch does not annotate it
        of_label = in_view & (label == value)
        sorted_best = best[of_label].sort().values
        selected |= of_label & (best >= sorted_best[int((1 - share) * len(sorted_best))])
    return label, selected.to(p.dtype)
