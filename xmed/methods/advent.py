"""Advent: maps of how much the net is in doubt that look the same on both domains."""

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

    weight: of the net's share in the game (the paper's 0.001). critic_rate: learning rate of the critic against the
    net's. Where only one domain's field of view reaches, neither map is shown: a sector would betray its domain.
    """

    cite: ClassVar[str] = "Vu et al., ADVENT, CVPR 2019, arXiv:1811.12833"

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 0.001, critic_rate: float = 0.1) -> None:
        super().__init__(net, task)
        self.weight, self.critic_rate = weight, critic_rate
        self.critic = map_critic(task.classes, segmentation_head(net).weight.ndim - 2)

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        (ours, _), (theirs, _) = forward_per_domain(self.net, source.image, target.image)
        b, view = len(ours), view_of_both_domains(source, target)
        maps = self_information(torch.cat([ours, theirs])) * view
        fooled, told = apply_frozen(self.critic, maps[b:]), self.critic(maps.detach())
        return {
            "supervised": self.task.loss(ours, source.truth, source.fov),
            "fool": self.weight * functional.binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled)),
            "critic": domain_loss(told[:b], told[b:]),
        }

    def learning_rate_shares(self) -> dict[nn.Module, float]:
        return {self.critic: self.critic_rate}


def self_information(logits: Tensor) -> Tensor:
    """−p log p / log C (b, C, i, j[, k]): per class what it adds to the normalised entropy (section 3.2)."""
    log_p = logits.float().log_softmax(1)
    return -log_p.exp() * log_p / math.log(logits.shape[1])


def view_of_both_domains(source: Batch, target: Batch) -> Tensor:
    """1 where both of a pair of patches, one of each domain, have something in view: (b + b', 1, i, j[, k])."""
    views = []
    for own, other in ((source, target), (target, source)):
        view = torch.ones_like(own.image[:, :1]) if own.fov is None else own.fov[:, None].to(own.image.dtype)
        if other.fov is not None:
            partner = torch.arange(len(view), device=view.device) % len(other.fov)
            view = view * other.fov[partner][:, None]
        views.append(view)
    return torch.cat(views)
