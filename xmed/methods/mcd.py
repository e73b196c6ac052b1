"""MCD: two heads that are right on the source and as different as possible, and features on which they agree."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks import segmentation_head
from xmed.networks.adversary import adaptation_factor, reverse_gradient
from xmed.networks.domain_batchnorm import forward_per_domain
from xmed.tasks import Segmentation


class Mcd(Method):
    """Maximum classifier discrepancy in one step: the heads drift apart on the target, the features make them agree.

    The paper alternates three steps. The option `one_step` of its code reverses the gradient between features and heads
    instead, as is done here. The first head is deployed.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the discrepancy.
    """

    cite: ClassVar[str] = (
        "Saito et al., Maximum classifier discrepancy, CVPR 2018, arXiv:1712.02560; one step: mil-tokyo/MCD_DA"
    )

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 1.0) -> None:
        super().__init__(net, task)
        self.weight = weight
        self.second = copy.deepcopy(segmentation_head(net))
        self.second.reset_parameters()  # two equal heads would never disagree

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return both heads' supervised losses − weight · their discrepancy on the target."""
        (logits, source_features), (_, target_features) = forward_per_domain(self.net, source.image, target.image)
        target_features = reverse_gradient(target_features, adaptation_factor(self.progress))
        disagreement = classifier_discrepancy(
            segmentation_head(self.net)(target_features), self.second(target_features), target.fov
        )
        return {
            "supervised": self.task.loss(logits, source.reference, source.fov),
            "second": self.task.loss(self.second(source_features), source.reference, source.fov),
            "discrepancy": -self.weight * disagreement,  # the heads maximise it; reversed, the features minimise it
        }


def classifier_discrepancy(first_logits: Tensor, second_logits: Tensor, fov: Tensor | None) -> Tensor:
    """Return the mean absolute difference of two heads' probabilities over classes and the field of view (eq. 2).

    Args:
        first_logits: (b, C, i, j[, k]).
        second_logits: Of the same shape.
        fov: Field of view, bool (b, i, j[, k]), or None.
    """
    difference = (first_logits.float().softmax(1) - second_logits.float().softmax(1)).abs().mean(1)
    counted = torch.ones_like(difference) if fov is None else fov.to(difference.dtype)
    return (difference * counted).sum() / counted.sum().clamp_min(1.0)
