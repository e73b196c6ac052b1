"""Find the parts of a network that several methods need: segmentation head, deepest block, normalisation layers."""

from __future__ import annotations

from typing import Literal

from monai.networks.nets import DynUNet, SegResNet
from torch import Tensor, nn

from xmed.errors import XmedError
from xmed.networks.architectures import CONVOLUTIONS, NETWORKS


def segmentation_head(net: nn.Module) -> nn.modules.conv._ConvNd:
    """Return the last convolution of a network. It maps features (b, f, i, j[, k]) to logits."""
    return [module for module in net.modules() if isinstance(module, CONVOLUTIONS)][-1]


def deepest_block(net: nn.Module) -> nn.Module:
    """Return the block at the coarsest resolution. Alignment methods align its output (b, f, i, j[, k]).

    Raises:
        XmedError: METHOD_NEEDS for a network that is none of `NETWORKS`.
    """
    for module in net.modules():
        if isinstance(module, DynUNet):
            return module.bottleneck
        if isinstance(module, SegResNet):
            return module.down_layers[-1]
    raise XmedError(
        "METHOD_NEEDS", f"a {type(net).__name__}", f"a network of {', '.join(NETWORKS)} with a deepest block"
    )


def logits_and_features(
    net: nn.Module, image: Tensor, level: Literal["last", "deepest"] = "last"
) -> tuple[Tensor, Tensor]:
    """Run one forward pass and also return the features of one level.

    Args:
        net: A network of `build_network`.
        image: (b, c, i, j[, k]).
        level: "last" for the input of the segmentation head, at full resolution; "deepest" for the output of the
            deepest block.

    Returns:
        Logits (b, classes, i, j[, k]) and features (b, f, ...).
    """
    recorded: list[Tensor] = []
    if level == "last":
        hook = segmentation_head(net).register_forward_pre_hook(lambda _, inputs: recorded.append(inputs[0]))
    else:
        hook = deepest_block(net).register_forward_hook(lambda _, __, output: recorded.append(output))
    try:
        logits = net(image)
    finally:
        hook.remove()
    return logits, recorded[-1]


def batchnorm_layers(net: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the batch normalisation layers of a network, of any dimension.

    Raises:
        XmedError: METHOD_NEEDS where no layer keeps running statistics.
    """
    layers = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not any(layer.track_running_stats for layer in layers):
        raise XmedError(
            "METHOD_NEEDS", "a network without running statistics", "batch normalisation", "choose a method without it"
        )
    return layers
