"""MaskedPretrain: first filling in what is hidden in images of both domains, then segmenting the source."""

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
    """Masked image modelling on source and target, then supervised learning on the source with the same net.

    share: of the training that goes into the first part. mask, cell: share and edge (voxels) of the hidden blocks.
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
        if self.progress >= self.share:
            return {"supervised": self.task.loss(self.net(source.image), source.truth, source.fov)}
        image = torch.cat([source.image, target.image])
        gone = random_blocks(image, self.mask, self.cell)
        painted = self.painter(logits_and_features(self.net, image.masked_fill(gone, 0))[1]).float()
        views = [torch.ones_like(d.image[:, 0], dtype=torch.bool) if d.fov is None else d.fov for d in (source, target)]
        middle = image.shape[1] // 2  # of the neighbouring slices that a 2.5-D net is shown
        return {"painted": masked_error(painted[:, 0], image[:, middle], gone[:, 0] & torch.cat(views))}


def masked_error(painted: Tensor, image: Tensor, counted: Tensor) -> Tensor:
    """Mean squared error over the `counted` voxels (bool), all (b, i, j[, k]); what was shown is not rewarded."""
    squared = (painted - image.float()) ** 2
    return (squared * counted).sum() / counted.sum().clamp_min(1)
