"""Networks: networks by name, from MONAI, sized by the study, and what several methods do with them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Literal

import torch
from monai.networks.nets import DynUNet, SegResNet
from torch import Tensor, nn

from xmed.errors import XmedError
from xmed.networks import self_similarity
from xmed.spec import NetworkSpec

Definition = tuple[type[nn.Module], dict[str, Any]]
"""A network's class and the arguments it is made with, all of which JSON can hold."""


def _unet(dims: int, channels: int, classes: int, widths: list[int]) -> Definition:
    """The plain-convolution U-Net of nnU-Net (Isensee et al. 2021), with batch normalisation.

    Batch statistics, not instance statistics: methods such as AdaBN and TENT adapt them, and an ultrasound sector's
    empty surround would dominate statistics taken per patch.
    """
    return DynUNet, {
        "spatial_dims": dims,
        "in_channels": channels,
        "out_channels": classes,
        "kernel_size": [3] * len(widths),
        "strides": [1] + [2] * (len(widths) - 1),
        "upsample_kernel_size": [2] * (len(widths) - 1),
        "filters": widths,
        "norm_name": "batch",
    }


def _segresnet(dims: int, channels: int, classes: int, widths: list[int]) -> Definition:
    """The residual encoder of Myronenko 2018; the first width counts, every level doubles it."""
    return SegResNet, {
        "spatial_dims": dims,
        "init_filters": widths[0],
        "in_channels": channels,
        "out_channels": classes,
        "norm": "batch",
        "blocks_down": [1] * len(widths),
        "blocks_up": [1] * (len(widths) - 1),
    }


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NETWORKS = {"unet": _unet, "segresnet": _segresnet}


def definition(spec: NetworkSpec, spatial_dims: Literal[2, 3], channels: int, classes: int) -> Definition:
    """The class of the named network, as MONAI has it, and the arguments it is made with.

    Raises XmedError SPEC_INVALID for an unknown name.
    """
    if spec.name not in NETWORKS:
        raise XmedError("SPEC_INVALID", f"network '{spec.name}'", f"one of {', '.join(NETWORKS)}")
    return NETWORKS[spec.name](spatial_dims, channels, classes, list(spec.channels))


def build(spec: NetworkSpec, spatial_dims: Literal[2, 3], channels: int, classes: int, seed: int = 0) -> nn.Module:
    """The named network, (b, channels, i, j[, k]) → logits (b, classes, i, j[, k]), initialised by `seed` alone.

    Every patch edge must divide by `stride(spec)`. Raises XmedError SPEC_INVALID for an unknown name.
    """
    shown = self_similarity.channels(spatial_dims) * channels if spec.input == "mind" else channels
    kind, arguments = definition(spec, spatial_dims, shown, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = kind(**arguments)
        net = nn.Sequential(self_similarity.Mind(), net) if spec.input == "mind" else net
    return net if spec.members == 1 else Ensemble(copy.deepcopy(net) for _ in range(spec.members))


class Ensemble(nn.Module):
    """Several networks; logits are the log of their mean probabilities (Lakshminarayanan et al., NeurIPS 2017)."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack([member(image).float().softmax(1) for member in self.members]).mean(0).clamp_min(1e-7).log()


def head(net: nn.Module) -> nn.modules.conv._ConvNd:
    """The last convolution of a network: features (b, f, i, j[, k]) → logits."""
    return [module for module in net.modules() if isinstance(module, CONVOLUTIONS)][-1]


def deepest(net: nn.Module) -> nn.Module:
    """The block at the coarsest resolution; its output (b, f, i, j[, k]) is what alignment methods align."""
    for module in net.modules():
        if isinstance(module, DynUNet):
            return module.bottleneck
        if isinstance(module, SegResNet):
            return module.down_layers[-1]
    raise XmedError(
        "METHOD_NEEDS", f"a {type(net).__name__}", f"a network of {', '.join(NETWORKS)} with a deepest block"
    )


def features(net: nn.Module, image: Tensor, level: Literal["last", "deepest"] = "last") -> tuple[Tensor, Tensor]:
    """One forward pass: logits, and the features the head sees ("last", full resolution) or the deepest block makes."""
    seen: list[Tensor] = []
    if level == "last":
        hook = head(net).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    else:
        hook = deepest(net).register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        logits = net(image)
    finally:
        hook.remove()
    return logits, seen[-1]


def statistics(net: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The layers with running statistics, of any dimension. Raises XmedError METHOD_NEEDS where there are none."""
    found = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not any(layer.track_running_stats for layer in found):
        raise XmedError(
            "METHOD_NEEDS", "a network without running statistics", "batch normalisation", "choose a method without it"
        )
    return found


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def stride(spec: NetworkSpec) -> int:
    """How many voxels one cell of the deepest level spans: patches must be multiples of it."""
    return spec.stride


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
