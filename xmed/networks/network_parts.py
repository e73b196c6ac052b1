"""Parts of a network that several methods need (segmentation head, deepest block, normalisation), and its weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from xmed.errors import XmedError
from xmed.networks.architectures import CONVOLUTIONS, NETWORKS
from xmed.networks.monai_parts import DynUNet, SegResNet


def segmentation_head(net: nn.Module) -> nn.modules.conv._ConvNd:
    """Return the last convolution of a network. It maps features (b, f, i, j[, k]) to logits.

    Args:
        net: A network of `build_network`.

    Returns:
        The convolution.
    """
    return [module for module in net.modules() if isinstance(module, CONVOLUTIONS)][-1]


def deepest_block(net: nn.Module) -> nn.Module:
    """Return the block at the coarsest resolution. Alignment methods align its output (b, f, i, j[, k]).

    Args:
        net: A network of `build_network`.

    Returns:
        The block.

    Raises:
        XmedError: METHOD_NEEDS for a network that is none of `NETWORKS`.
    """
    for module in net.modules():
        if isinstance(module, DynUNet):
            bottleneck: nn.Module = module.bottleneck
            return bottleneck
        if isinstance(module, SegResNet):
            coarsest: nn.Module = module.down_layers[-1]
            return coarsest
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


class _DeepestBlockDone(Exception):
    """Carries the features of the deepest block out of a forward pass."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def deepest_features(net: nn.Module, image: Tensor) -> Tensor:
    """Run a forward pass as far as the deepest block.

    Args:
        net: A network of `build_network`; of an ensemble its first network is run.
        image: (b, c, i, j[, k]).

    Returns:
        Features (b, f, ...), equal to those of `logits_and_features` at level "deepest".
    """

    def leave(_: nn.Module, __: object, output: Tensor) -> None:
        raise _DeepestBlockDone(output)

    hook = deepest_block(net).register_forward_hook(leave)
    try:
        net(image)
    except _DeepestBlockDone as done:
        return done.features
    finally:
        hook.remove()
    raise AssertionError("a forward pass without the deepest block")


def batchnorm_layers(net: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the batch normalisation layers of a network, of any dimension.

    Args:
        net: The network.

    Returns:
        The layers, in the order in which the network lists its modules.

    Raises:
        XmedError: METHOD_NEEDS where no layer keeps running statistics.
    """
    layers = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not any(layer.track_running_stats for layer in layers):
        raise XmedError(
            "METHOD_NEEDS", "a network without running statistics", "batch normalisation", "choose a method without it"
        )
    return layers


def named_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, each tensor once.

    `state_dict()` will not do: MONAI's U-Net registers the same module under several names, and `state_dict()` lists
    its tensors once per name.

    Args:
        net: The network.

    Returns:
        Name → tensor. The tensors are the network's own, not copies.
    """
    return dict([*net.named_parameters(), *net.named_buffers()])


@torch.no_grad()
def load_tensors(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy weights into a network.

    Args:
        net: Its parameters and buffers are overwritten.
        weights: Tensors with exactly the names and shapes of `named_tensors(net)`.

    Raises:
        ValueError: Names or shapes are those of another network.
    """
    own = named_tensors(net)
    if own.keys() != weights.keys():
        raise ValueError(f"weights for another network: {sorted(own.keys() ^ weights.keys())[:3]} ...")
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            raise ValueError(f"{name} is {tuple(weights[name].shape)}, not {tuple(tensor.shape)}")
        tensor.copy_(weights[name])
