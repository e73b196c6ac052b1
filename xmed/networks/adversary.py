"""Domain critics and the gradient reversal layer of adversarial domain adaptation.

One optimiser minimises the sum of all losses of a method, so network and critic do not take turns. Two constructions
allow that: the gradient is reversed between network and critic (Ganin et al., Domain-adversarial training of neural
networks, JMLR 2016, arXiv:1505.07818), or the critic is applied twice, once to detached inputs and once with constant
weights (`apply_frozen`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

GAMMA = 10.0
"""Steepness γ of the growth of the adaptation factor: Ganin et al. 2016, section 5.2.2."""
NEGATIVE_SLOPE = 0.2
"""Slope of the leaky ReLU in critics of maps: Radford et al., DCGAN, 2016, as ADVENT uses it."""


class _Reversal(torch.autograd.Function):
    """Identity in the forward pass, multiplication by −strength in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """Return a tensor unchanged; in the backward pass its gradient is multiplied by −`strength`.

    Args:
        x: Any tensor.
        strength: The factor.

    Returns:
        A tensor of equal values.
    """
    same: Tensor = _Reversal.apply(x, strength)  # type: ignore[no-untyped-call]  # torch does not annotate it
    return same


def adaptation_factor(progress: Tensor) -> float:
    """Return λ = 2 / (1 + exp(−10 p)) − 1, the strength of the gradient reversal (Ganin et al. 2016, section 5.2.2).

    Args:
        progress: Share p of the training that is done, scalar in [0, 1].

    Returns:
        0 at the beginning, almost 1 at the end.
    """
    return float(2 / (1 + torch.exp(-GAMMA * progress)) - 1)


def vector_critic(width: int, hidden: int) -> nn.Sequential:
    """Build a critic of feature vectors: three linear layers with ReLU, as in Ganin et al. 2016.

    Args:
        width: Length of a feature vector.
        hidden: Width of the two hidden layers.

    Returns:
        A module that maps (n, width) to logits (n, 1), positive for the source.
    """
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    )


def map_critic(channels: int, dims: int, width: int = 16) -> nn.Sequential:
    """Build a convolutional critic of maps.

    It is the patch critic of DCGAN as ADVENT uses it, with leaky ReLU and without normalisation, but with a quarter of
    the widths and two strided layers less: patches here are 64 voxels wide, not 1024.

    Args:
        channels: Channels of the maps.
        dims: 2 or 3.
        width: Channels after the first layer; each further layer doubles them.

    Returns:
        A module that maps (b, channels, i, j[, k]) to logits over cells of 8 voxels, positive for the source. Edges
        must have at least 8 voxels.
    """
    convolution = nn.Conv2d if dims == 2 else nn.Conv3d
    widths = [channels, width, 2 * width, 4 * width]
    layers: list[nn.Module] = []
    for cin, cout in pairwise(widths):
        layers += [convolution(cin, cout, 4, stride=2, padding=1), nn.LeakyReLU(NEGATIVE_SLOPE)]
    return nn.Sequential(*layers, convolution(widths[-1], 1, 3, padding=1))


def apply_frozen(critic: nn.Module, x: Tensor) -> Tensor:
    """Apply a critic with its weights as constants: gradients reach the input but not the critic.

    Args:
        critic: The critic.
        x: Its input.

    Returns:
        `critic(x)`.
    """
    verdict: Tensor = functional_call(critic, {name: p.detach() for name, p in critic.named_parameters()}, (x,))
    return verdict


def domain_loss(
    source: Tensor, target: Tensor, source_weight: Tensor | None = None, target_weight: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy of a critic's logits, half of it from each domain.

    Args:
        source: Logits of source samples, which should be positive.
        target: Logits of target samples, which should be negative.
        source_weight: Weight of each source logit, mean 1; None for equal weights.
        target_weight: Weight of each target logit, mean 1; None for equal weights.

    Returns:
        Scalar. log 2 where the critic cannot tell the domains apart, near 0 where it always can. A critic whose loss
        stays near 0 gives the network no useful gradient.
    """
    source_loss = functional.binary_cross_entropy_with_logits(source, torch.ones_like(source), source_weight)
    target_loss = functional.binary_cross_entropy_with_logits(target, torch.zeros_like(target), target_weight)
    return (source_loss + target_loss) / 2
