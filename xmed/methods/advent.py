"""ADVENT: adversarial training that makes maps of the network's uncertainty look the same on both domains."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks import segmentation_head
from xmed.networks.adversary import apply_frozen, domain_loss, map_critic
from xmed.networks.domain_batchnorm import forward_per_domain
from xmed.tasks import Segmentation


class Advent(Method):
    """Adversarial training on self-information maps of the output.

    A pixel is shown to the critic only where it lies in the field of view of both domains: the shape of an ultrasound
    sector would reveal its domain.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the adversarial loss of the network (0.001 in the paper).
        critic_rate: Learning rate of the critic, as a share of the network's.
    """

    cite: ClassVar[str] = "Vu et al., ADVENT, CVPR 2019, arXiv:1811.12833"

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 0.001, critic_rate: float = 0.1) -> None:
        super().__init__(net, task)
        self.weight, self.critic_rate = weight, critic_rate
        self.critic = map_critic(task.classes, segmentation_head(net).weight.ndim - 2)

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss, weight · loss of fooling the critic, and the critic's own loss."""
        (source_logits, _), (target_logits, _) = forward_per_domain(self.net, source.image, target.image)
        b, view = len(source_logits), view_of_both_domains(source, target)
        maps = self_information(torch.cat([source_logits, target_logits])) * view
        target_verdict, verdicts = apply_frozen(self.critic, maps[b:]), self.critic(maps.detach())
        return {
            "supervised": self.task.loss(source_logits, source.reference, source.fov),
            "fool": self.weight
            * functional.binary_cross_entropy_with_logits(target_verdict, torch.ones_like(target_verdict)),
            "critic": domain_loss(verdicts[:b], verdicts[b:]),
        }

    def learning_rate_shares(self) -> dict[nn.Module, float]:
        """Return the critic with its own learning rate."""
        return {self.critic: self.critic_rate}


def self_information(logits: Tensor) -> Tensor:
    """Return −p log p / log C per class (section 3.2 of the paper): the class's part of the normalised entropy.

    Args:
        logits: (b, C, i, j[, k]).

    Returns:
        (b, C, i, j[, k]), float32.
    """
    log_p = logits.float().log_softmax(1)
    return -log_p.exp() * log_p / math.log(logits.shape[1])


def view_of_both_domains(source: Batch, target: Batch) -> Tensor:
    """Mark where both patches of a source-target pair are in view.

    Returns:
        1 in view of both, else 0; the source's b patches, then the target's b' patches, (b + b', 1, i, j[, k]).
    """
    views = []
    for batch, other in ((source, target), (target, source)):
        view = torch.ones_like(batch.image[:, :1]) if batch.fov is None else batch.fov[:, None].to(batch.image.dtype)
        if other.fov is not None:
            partner = torch.arange(len(view), device=view.device) % len(other.fov)
            view = view * other.fov[partner][:, None]
        views.append(view)
    return torch.cat(views)
