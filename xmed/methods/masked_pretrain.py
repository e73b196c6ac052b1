"""Masked pretraining: first fill in hidden blocks in images of both domains, then segment the source."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks import CONVOLUTIONS, logits_and_features, segmentation_head
from xmed.rendering.perturb import random_blocks
from xmed.tasks import Segmentation


class MaskedPretrain(Method):
    """Masked image modelling on source and target, then supervised learning on the source with the same network.

    Args:
        net: The network.
        task: The segmentation task.
        share: Share of the training that the first part takes.
        mask: Share of the blocks that are hidden.
        cell: Edge of a hidden block in voxels.
    """

    cite: ClassVar[str] = (
        "Zhang et al., MAPSeg, CVPR 2024, arXiv:2303.09373; He et al., Masked autoencoders, CVPR 2022, arXiv:2111.06377"
    )

    def __init__(
        self, net: nn.Module, task: Segmentation, share: float = 0.4, mask: float = 0.7, cell: int = 8
    ) -> None:
        super().__init__(net, task)
        self.share, self.mask, self.cell = share, mask, cell
        last = segmentation_head(net)
        convolution = CONVOLUTIONS[last.weight.ndim - 3]
        self.painter = convolution(last.in_channels, 1, 1)  # from the head's features to an intensity

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the error of filled-in blocks in the first part of the training, the supervised loss in the second."""
        if self.progress >= self.share:
            return {"supervised": self.task.loss(self.net(source.image), source.reference, source.fov)}
        image = torch.cat([source.image, target.image])
        blocks = random_blocks(image, self.mask, self.cell, self.random)
        painted = self.painter(logits_and_features(self.net, image.masked_fill(blocks, 0))[1]).float()
        views = [torch.ones_like(b.image[:, 0], dtype=torch.bool) if b.fov is None else b.fov for b in (source, target)]
        middle = image.shape[1] // 2  # a 2.5-D network also gets neighbouring slices; the middle one is predicted
        return {"painted": masked_error(painted[:, 0], image[:, middle], blocks[:, 0] & torch.cat(views))}


def masked_error(painted: Tensor, image: Tensor, counted: Tensor) -> Tensor:
    """Return the mean squared error over the counted voxels; voxels that were visible earn nothing.

    Args:
        painted: Predicted intensities (b, i, j[, k]).
        image: True intensities of the same shape.
        counted: Bool of the same shape.
    """
    squared = (painted - image.float()) ** 2
    return (squared * counted).sum() / counted.sum().clamp_min(1)
