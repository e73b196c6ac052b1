"""Prototype contrast: confident target voxels are drawn to the source's prototype of their predicted class."""

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
from xmed.networks.random_numbers import RandomNumbers
from xmed.tasks import Segmentation

VOXELS_PER_CLASS = 512  # of each class and domain in one step
"""Largest number of voxels of each class and domain in one step."""


class Contrast(Method):
    """Contrastive alignment with class prototypes of the source, in the features that the segmentation head receives.

    These features have few channels already, so no projection is learned.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the contrastive losses; it grows from 0 over the training.
        confidence: Probability that a target voxel needs to take part.
        temperature: Temperature T of the softmax over prototypes.
        decay: Decay of the prototypes' moving average.
    """

    cite: ClassVar[str] = (
        "van den Oord et al., InfoNCE, arXiv:1807.03748; prototypes: Marsden et al., Contrastive learning and "
        "self-training for UDA in semantic segmentation, IJCNN 2022, arXiv:2105.02001"
    )
    prototypes: Tensor

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
        """Return supervised loss + weight · λ · contrastive losses, λ the `adaptation_factor`."""
        (source_logits, source_features), (target_logits, target_features) = forward_per_domain(
            self.net, source.image, target.image
        )
        label, confident = self.task.pseudo_label(target_logits.detach().float().softmax(1), self.confidence)
        source_voxels = sample_voxels(source_features, source.reference, source.fov, self.task.classes, self.random)
        weight = confident if target.fov is None else confident * target.fov
        target_voxels = sample_voxels(target_features, label, weight, self.task.classes, self.random)
        self._update_prototypes(*source_voxels)
        strength = self.weight * adaptation_factor(self.progress)
        return {
            "supervised": self.task.loss(source_logits, source.reference, source.fov),
            "source": strength * self._pull(*source_voxels),
            "target": strength * self._pull(*target_voxels),
        }

    @property
    def has_prototype(self) -> Tensor:
        """Which classes have a prototype, bool (classes,). The buffer has the name that checkpoints have for it."""
        return self.get_buffer("known")

    def _pull(self, vectors: Tensor, label: Tensor) -> Tensor:
        return prototype_contrast(vectors, label, self.prototypes, self.has_prototype, self.temperature)

    @torch.no_grad()
    def _update_prototypes(self, vectors: Tensor, label: Tensor) -> None:
        """Move every prototype a step towards the mean of its class's unit vectors in this batch."""
        for value in label.unique():  # type: ignore[no-untyped-call]  # torch does not annotate it
            mean = functional.normalize(vectors[label == value], dim=1).mean(0)
            old = self.prototypes[value]
            self.prototypes[value] = torch.where(self.has_prototype[value], old.lerp(mean, 1 - self.decay), mean)
            self.has_prototype[value] = True


def sample_voxels(
    features: Tensor, label: Tensor, weight: Tensor | None, classes: int, random: RandomNumbers
) -> tuple[Tensor, Tensor]:
    """Draw up to 512 random voxels of each class that have a positive weight.

    Args:
        features: (b, f, i, j[, k]).
        label: (b, i, j[, k]).
        weight: (b, i, j[, k]); None where every voxel may be drawn.
        classes: Number of classes.
        random: Draws the voxels.

    Returns:
        Features (n, f), float32, and labels (n,).
    """
    valid = label.new_ones(label.shape, dtype=torch.bool) if weight is None else weight > 0
    indices = []
    for value in range(classes):
        candidates = torch.nonzero((label == value).logical_and(valid).flatten())[:, 0]
        order = torch.randperm(len(candidates), device=candidates.device, generator=random.on(candidates.device))
        indices.append(candidates[order[:VOXELS_PER_CLASS]])
    drawn = torch.cat(indices)
    return features.movedim(1, -1).flatten(0, -2)[drawn].float(), label.flatten()[drawn]


def prototype_contrast(
    vectors: Tensor, label: Tensor, prototypes: Tensor, is_set: Tensor, temperature: float
) -> Tensor:
    """Return −log softmax, over the set prototypes, of cos(vector, prototype) / T at the vector's own class.

    Mean over the vectors of each class, then over classes.

    Args:
        vectors: (n, f).
        label: (n,).
        prototypes: (classes, f).
        is_set: Which prototypes have been set, bool (classes,).
        temperature: T.

    Returns:
        Scalar; 0 where no vector's prototype is set, or fewer than two prototypes are.
    """
    similarity = functional.normalize(vectors, dim=1) @ functional.normalize(prototypes, dim=1).T / temperature
    usable = is_set[label]
    if not usable.any() or is_set.sum() < 2:
        return vectors.sum() * 0
    similarity, label = similarity.masked_fill(~is_set, -torch.inf)[usable], label[usable]
    losses = functional.cross_entropy(similarity, label, reduction="none")
    values = label.unique()  # type: ignore[no-untyped-call]  # torch does not annotate it
    return torch.stack([losses[label == value].mean() for value in values]).mean()
