"""Pass source and target through one network, each normalised by its own batch statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xmed.networks import logits_and_features

DomainOutputs = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""((logits, features) of the source, (logits, features) of the target)."""


def forward_per_domain(
    net: nn.Module, source: Tensor, target: Tensor, level: Literal["last", "deepest"] = "last"
) -> DomainOutputs:
    """Run the network on source patches and on target patches separately.

    In one common batch the two domains would share batch statistics. The offset between the domains would then survive
    every normalisation, as a feature that reveals the domain. The running statistics follow the target alone, because
    the model will be used on the target (Li et al., AdaBN, 2018; Chang et al., Domain-specific batch normalization,
    CVPR 2019, here with one affine transform for both domains).

    Args:
        net: The network, in training mode.
        source: Source patches (b, c, i, j[, k]).
        target: Target patches (b', c, i, j[, k]).
        level: Which features to return, see `logits_and_features`.

    Returns:
        Logits and features of the source, then of the target.
    """
    with _running_statistics_frozen(net):
        source_outputs = logits_and_features(net, source, level)
    return source_outputs, logits_and_features(net, target, level)


@contextmanager
def _running_statistics_frozen(net: nn.Module) -> Iterator[None]:
    """Keep the running means and variances unchanged in forward passes within the block."""
    layers = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before):
            layer.momentum = momentum
