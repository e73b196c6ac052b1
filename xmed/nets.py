"""Nets: networks by name, from MONAI, sized by the study."""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.nets import DynUNet, SegResNet
from torch import Tensor, nn

from xmed.errors import XmedError
from xmed.spec import NetworkSpec


def _unet(dims: int, channels: int, classes: int, widths: list[int]) -> nn.Module:
    """The plain-convolution U-Net of nnU-Net (Isensee et al. 2021), with batch normalisation.

    Batch statistics, not instance statistics: methods such as AdaBN and TENT adapt them, and an ultrasound sector's
    empty surround would dominate statistics taken per patch.
    """
    return DynUNet(
        dims,
        channels,
        classes,
        kernel_size=[3] * len(widths),
        strides=[1] + [2] * (len(widths) - 1),
        upsample_kernel_size=[2] * (len(widths) - 1),
        filters=widths,
        norm_name="batch",
    )


def _segresnet(dims: int, channels: int, classes: int, widths: list[int]) -> nn.Module:
    """The residual encoder of Myronenko 2018; the first width counts, every level doubles it."""
    blocks = tuple([1] * len(widths))
    return SegResNet(
        dims, widths[0], channels, classes, norm="batch", blocks_down=blocks, blocks_up=tuple([1] * (len(widths) - 1))
    )


NETWORKS = {"unet": _unet, "segresnet": _segresnet}


def build(spec: NetworkSpec, spatial_dims: Literal[2, 3], channels: int, classes: int, seed: int = 0) -> nn.Module:
    """The named network, (b, channels, i, j[, k]) → logits (b, classes, i, j[, k]), initialised by `seed` alone.

    Every patch edge must divide by `stride(spec)`. Raises XmedError SPEC_INVALID for an unknown name.
    """
    if spec.name not in NETWORKS:
        raise XmedError("SPEC_INVALID", f"network '{spec.name}'", f"one of {', '.join(NETWORKS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[spec.name](spatial_dims, channels, classes, list(spec.channels))


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def stride(spec: NetworkSpec) -> int:
    """How many voxels one cell of the deepest level spans: patches must be multiples of it."""
    return 2 ** (len(spec.channels) - 1)


def tensors(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each once: MONAI's U-Net holds modules under several names, and so does state_dict()."""
    return dict([*net.named_parameters(), *net.named_buffers()])


@torch.no_grad()
def fill(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy `weights`, named as by `tensors(net)`, into the net. Raises ValueError when they are another net's."""
    own = tensors(net)
    if own.keys() != weights.keys():
        raise ValueError(f"weights for another network: {sorted(own.keys() ^ weights.keys())[:3]} ...")
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            raise ValueError(f"{name} is {tuple(weights[name].shape)}, not {tuple(tensor.shape)}")
        tensor.copy_(weights[name])
