"""Mcd: features on which two heads, each right on the source and as different as can be, agree about the target."""

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

    weight: of the discrepancy. The paper takes three steps in turn; its code's option `one_step` reverses the gradient
    between features and heads instead, as here. The first head is what is deployed.
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
        (logits, ours), (_, theirs) = forward_per_domain(self.net, source.image, target.image)
        theirs = reverse_gradient(theirs, adaptation_factor(self.progress))
        disagreement = classifier_discrepancy(segmentation_head(self.net)(theirs), self.second(theirs), target.fov)
        return {
            "supervised": self.task.loss(logits, source.truth, source.fov),
            "second": self.task.loss(self.second(ours), source.truth, source.fov),
            "discrepancy": -self.weight * disagreement,  # the heads maximise it; reversed, the features minimise it
        }


def classifier_discrepancy(one: Tensor, other: Tensor, fov: Tensor | None) -> Tensor:
    """Mean absolute difference of two heads' probabilities over classes and the field of view (eq. 2); logits in."""
    difference = (one.float().softmax(1) - other.float().softmax(1)).abs().mean(1)
    seen = torch.ones_like(difference) if fov is None else fov.to(difference.dtype)
    return (difference * seen).sum() / seen.sum().clamp_min(1.0)
