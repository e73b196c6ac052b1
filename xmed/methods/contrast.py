"""Contrast: target voxels that the net is sure of, drawn to the source's prototype of what they seem to be."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks import segmentation_head
from xmed.networks.adversary import adaptation_factor
from xmed.networks.domain_batchnorm import forward_per_domain
from xmed.tasks import Segmentation

VOXELS_PER_CLASS = 512  # of each class and domain in one step


class Contrast(Method):
    """Contrastive alignment with class prototypes of the source, in the features that the head sees.

    weight: of the contrastive losses, growing from 0 over the training. confidence: that a target voxel needs.
    temperature: of the softmax over prototypes. decay: of the prototypes' moving average. The features have few
    channels already, so no projection is learned.
    """

    cite: ClassVar[str] = (
        "van den Oord et al., InfoNCE, arXiv:1807.03748; prototypes: Marsden et al., Contrastive learning and "
        "self-training for UDA in semantic segmentation, IJCNN 2022, arXiv:2105.02001"
    )
    prototypes: Tensor
    known: Tensor

    def __init__(
        self,
        net: nn.Module,
        task: Segmentation,
        weight: float = 0.1,
        confidence: float = 0.9,
        temperature: float = 0.1,
        decay: float = 0.99,
    ) -> None:
        super().__init__(net, task)
        self.weight, self.confidence, self.temperature, self.decay = weight, confidence, temperature, decay
        self.register_buffer("prototypes", torch.zeros(task.classes, segmentation_head(net).in_channels))
        self.register_buffer("known", torch.zeros(task.classes, dtype=torch.bool))

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        (logits, seen), (guess, other) = forward_per_domain(self.net, source.image, target.image)
        label, sure = self.task.pseudo_label(guess.detach().float().softmax(1), self.confidence)
        ours = sample_voxels(seen, source.truth, source.fov, self.task.classes)
        theirs = sample_voxels(other, label, sure if target.fov is None else sure * target.fov, self.task.classes)
        self._update_prototypes(*ours)
        weight = self.weight * adaptation_factor(self.progress)
        return {
            "supervised": self.task.loss(logits, source.truth, source.fov),
            "source": weight * self._pull(*ours),
            "target": weight * self._pull(*theirs),
        }

    def _pull(self, vectors: Tensor, label: Tensor) -> Tensor:
        return prototype_contrast(vectors, label, self.prototypes, self.known, self.temperature)

    @torch.no_grad()
    def _update_prototypes(self, vectors: Tensor, label: Tensor) -> None:
        """Every prototype a step towards the mean of its class's unit vectors in this batch."""
        for value in label.unique():
            mean = functional.normalize(vectors[label == value], dim=1).mean(0)
            old = self.prototypes[value]
            self.prototypes[value] = torch.where(self.known[value], old.lerp(mean, 1 - self.decay), mean)
            self.known[value] = True


def sample_voxels(seen: Tensor, label: Tensor, weight: Tensor | None, classes: int) -> tuple[Tensor, Tensor]:
    """Up to 512 random voxels of each class with a positive weight: features (n, f) float32 and labels (n,)."""
    valid = label.new_ones(label.shape, dtype=torch.bool) if weight is None else weight > 0
    spots = []
    for value in range(classes):
        at = torch.nonzero((label == value).logical_and(valid).flatten())[:, 0]
        spots.append(at[torch.randperm(len(at), device=at.device)[:VOXELS_PER_CLASS]])
    drawn = torch.cat(spots)
    return seen.movedim(1, -1).flatten(0, -2)[drawn].float(), label.flatten()[drawn]


def prototype_contrast(vectors: Tensor, label: Tensor, prototypes: Tensor, known: Tensor, temperature: float) -> Tensor:
    """−log softmax over known prototypes of cos(vector, prototype) / T at its own class; every class counts alike.

    0 where nothing was chosen, or fewer than two prototypes are known.
    """
    similarity = functional.normalize(vectors, dim=1) @ functional.normalize(prototypes, dim=1).T / temperature
    usable = known[label]
    if not usable.any() or known.sum() < 2:
        return vectors.sum() * 0
    similarity, label = similarity.masked_fill(~known, -torch.inf)[usable], label[usable]
    each = functional.cross_entropy(similarity, label, reduction="none")
    return torch.stack([each[label == value].mean() for value in label.unique()]).mean()
