"""GIN: the source passes through a new random convolutional network at every step, so that only shape is learned."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.rendering.appearance_change import blend_appearances, random_convolutions
from xmed.tasks import Segmentation


class Gin(Method):
    """Global intensity non-linear augmentation with consistency between copies.

    Args:
        net: The network.
        task: The segmentation task.
        copies: Random appearances of each patch; the first is supervised.
        consistency: Weight of the divergence of all copies from their mean prediction. The reference implementation's
            10 is a mean over classes as well as voxels, so it is 10 / classes per voxel; here the weight is per voxel.
        blend: Whether the first two appearances are blended by a smooth random map (interventional pseudo-correlation).
    """

    cite: ClassVar[str] = (
        "Ouyang et al., Causality-inspired single-source domain generalization, TMI 2022, arXiv:2111.12525"
    )

    def __init__(
        self, net: nn.Module, task: Segmentation, copies: int = 2, consistency: float = 1.0, blend: bool = True
    ) -> None:
        super().__init__(net, task)
        self.copies, self.consistency, self.blend = copies, consistency, blend

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss on the first copy + consistency · mean KL(mean prediction ‖ copy)."""
        del target
        images = [random_convolutions(source.image, self.random, source.fov) for _ in range(self.copies)]
        if self.blend and self.copies > 1:
            images[:2] = blend_appearances(images[0], images[1], self.random)
        logits = [self.net(image).float() for image in images]
        losses = {"supervised": self.task.loss(logits[0], source.reference, source.fov)}
        if self.copies > 1:
            p = [copy.softmax(1) for copy in logits]
            mean = sum(p[1:], p[0]) / len(p)
            per_voxel = [functional.kl_div(copy.log_softmax(1), mean, reduction="none").sum(1) for copy in logits]
            counted = source.fov if source.fov is not None else per_voxel[0] == per_voxel[0]
            losses["consistency"] = (
                self.consistency * sum((d * counted).sum() for d in per_voxel) / (counted.sum() * len(p))
            )
        return losses
