"""Domain batchnorm: two domains through one net, each under its own batch statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xmed.networks import logits_and_features

DomainOutputs = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def forward_per_domain(
    net: nn.Module, source: Tensor, target: Tensor, level: Literal["last", "deepest"] = "last"
) -> DomainOutputs:
    """(logits, features) of source patches and of target patches (b, c, i, j[, k]); features as in `nets.features`.

    As one batch the two would share their statistics, and the offset between them would survive every normalisation as
    a feature that tells the domain. The running statistics follow the target alone: that is what will be deployed on
    (Li et al., AdaBN, 2018; Chang et al., Domain-specific batch normalization, CVPR 2019, with one affine for both).
    """
    with _running_statistics_frozen(net):
        ours = logits_and_features(net, source, level)
    return ours, logits_and_features(net, target, level)


@contextmanager
def _running_statistics_frozen(net: nn.Module) -> Iterator[None]:
    """Within it a forward pass leaves running means and variances as they are."""
    layers = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before):
            layer.momentum = momentum
