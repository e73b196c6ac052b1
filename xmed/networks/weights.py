"""Read and write the weights of a network by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def named_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, each tensor once.

    `state_dict()` will not do: MONAI's U-Net registers the same module under several names, and `state_dict()` lists
    its tensors once per name.
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
