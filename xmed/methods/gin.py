"""Gin: the source through a fresh random convolutional network at every step, so that only shape is worth learning."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.rendering.random_convolution import blend_appearances, random_convolutions
from xmed.tasks import Segmentation


class Gin(Method):
    """Global intensity non-linear augmentation with consistency between copies.

    copies: random appearances of each patch; the first is supervised. blend: the first two are blended by a smooth
    random map (interventional pseudo-correlation). consistency: weight of the divergence of all
    copies from their mean prediction (the reference implementation's 10 is a mean over classes as well as voxels, which
    makes it 10 / classes per voxel; here it is per voxel).
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
        del target
        images = [random_convolutions(source.image, source.fov) for _ in range(self.copies)]
        if self.blend and self.copies > 1:
            images[:2] = blend_appearances(*images[:2])
        logits = [self.net(image).float() for image in images]
        losses = {"supervised": self.task.loss(logits[0], source.truth, source.fov)}
        if self.copies > 1:
            p = [one.softmax(1) for one in logits]
            mean = sum(p[1:], p[0]) / len(p)
            per_voxel = [functional.kl_div(one.log_softmax(1), mean, reduction="none").sum(1) for one in logits]
            seen = source.fov if source.fov is not None else per_voxel[0] == per_voxel[0]
            losses["consistency"] = self.consistency * sum((d * seen).sum() for d in per_voxel) / (seen.sum() * len(p))
        return losses
