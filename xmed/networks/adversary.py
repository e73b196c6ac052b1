"""Adversary: critics that tell the domains apart, and the reversed gradient that teaches a net to confuse them.

A method's losses are minimised by one optimiser, so nobody takes turns: either the gradient is reversed between net and
critic (Ganin et al., Domain-adversarial training of neural networks, JMLR 2016, arXiv:1505.07818), or the critic is
seen once on detached inputs and once `frozen`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

GAMMA = 10.0  # of the reversal's growth: gamma of Ganin et al. 2016, section 5.2.2
NEGATIVE_SLOPE = 0.2  # leaky ReLU of the critics of maps: Radford et al. 2016, as in ADVENT


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """`x` itself; the gradient comes back multiplied by −`strength`."""
    return _Reversal.apply(x, strength)


def adaptation_factor(progress: Tensor) -> float:
    """2 / (1 + exp(−10 p)) − 1 (Ganin et al. 2016): from 0 to almost 1 over the training."""
    return float(2 / (1 + torch.exp(-GAMMA * progress)) - 1)


def vector_critic(width: int, hidden: int) -> nn.Sequential:
    """Vectors (n, width) → one logit each (n, 1), positive for the source: three linear layers, as in Ganin et al."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    )


def map_critic(channels: int, dims: int, width: int = 16) -> nn.Sequential:
    """Maps (b, channels, i, j[, k]) → logits over cells of 8 voxels, positive for the source.

    The patch critic of DCGAN as ADVENT uses it, leaky ReLU and no normalisation, with a quarter of its widths and two
    strides less: patches here have 64 voxels to a side, not 1024. Edges must have at least 8 voxels.
    """
    convolution = nn.Conv2d if dims == 2 else nn.Conv3d
    widths = [channels, width, 2 * width, 4 * width]
    layers: list[nn.Module] = []
    for cin, cout in pairwise(widths):
        layers += [convolution(cin, cout, 4, stride=2, padding=1), nn.LeakyReLU(NEGATIVE_SLOPE)]
    return nn.Sequential(*layers, convolution(widths[-1], 1, 3, padding=1))


def apply_frozen(critic: nn.Module, x: Tensor) -> Tensor:
    """critic(x) whose gradient reaches `x` alone: the critic learns nothing from it."""
    return functional_call(critic, {name: p.detach() for name, p in critic.named_parameters()}, (x,))


def domain_loss(
    source: Tensor, target: Tensor, source_weight: Tensor | None = None, target_weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of logits that should be positive on the source and negative on the target; each domain half.

    log 2 where the critic knows nothing, towards 0 where it wins: an adversary that is logged near 0 teaches nothing.
    Weights are per logit, with mean 1.
    """
    ours = functional.binary_cross_entropy_with_logits(source, torch.ones_like(source), source_weight)
    theirs = functional.binary_cross_entropy_with_logits(target, torch.zeros_like(target), target_weight)
    return (ours + theirs) / 2
