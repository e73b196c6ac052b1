"""Build a network by its name in a study: MONAI's classes, sized by the study and initialised by a seed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xmed.errors import XmedError
from xmed.networks.monai_parts import DynUNet, SegResNet
from xmed.networks.random_numbers import initialised_from
from xmed.networks.self_similarity import MindDescriptor, descriptor_channels
from xmed.spec import NetworkSpec

NetworkDefinition = tuple[type[nn.Module], dict[str, Any]]
"""A network's class, and the keyword arguments of its constructor. JSON can hold the arguments."""


def _unet(dims: int, in_channels: int, classes: int, widths: list[int]) -> NetworkDefinition:
    """U-Net of plain convolutions as in nnU-Net (Isensee et al., Nature Methods 2021), with batch normalisation.

    Batch normalisation and not instance normalisation: AdaBN and TENT adapt batch statistics, and the empty region
    around an ultrasound sector would dominate statistics that are computed per patch.
    """
    return DynUNet, {
        "spatial_dims": dims,
        "in_channels": in_channels,
        "out_channels": classes,
        "kernel_size": [3] * len(widths),
        "strides": [1] + [2] * (len(widths) - 1),
        "upsample_kernel_size": [2] * (len(widths) - 1),
        "filters": widths,
        "norm_name": "batch",
    }


def _segresnet(dims: int, in_channels: int, classes: int, widths: list[int]) -> NetworkDefinition:
    """Residual encoder-decoder of Myronenko (BrainLes 2018). Only the first width counts: every level doubles it."""
    return SegResNet, {
        "spatial_dims": dims,
        "init_filters": widths[0],
        "in_channels": in_channels,
        "out_channels": classes,
        "norm": "batch",
        "blocks_down": [1] * len(widths),
        "blocks_up": [1] * (len(widths) - 1),
    }


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NETWORKS = {"unet": _unet, "segresnet": _segresnet}
"""Name in a study → function that gives the class and its arguments."""


def network_definition(
    spec: NetworkSpec, spatial_dims: Literal[2, 3], in_channels: int, classes: int
) -> NetworkDefinition:
    """Return the MONAI class of a named network and its constructor arguments, without building it.

    Args:
        spec: Name and channel widths of the network.
        spatial_dims: 2 or 3.
        in_channels: Channels of the input that the MONAI class itself receives.
        classes: Number of classes, background included.

    Returns:
        The class, and the keyword arguments of its constructor.

    Raises:
        XmedError: SPEC_INVALID for an unknown name.
    """
    if spec.name not in NETWORKS:
        raise XmedError("SPEC_INVALID", f"network '{spec.name}'", f"one of {', '.join(NETWORKS)}")
    return NETWORKS[spec.name](spatial_dims, in_channels, classes, list(spec.channels))


def build_network(
    spec: NetworkSpec, spatial_dims: Literal[2, 3], image_channels: int, classes: int, seed: int = 0
) -> nn.Module:
    """Build the named network and initialise it.

    Args:
        spec: Name, channel widths, number of ensemble members and kind of input.
        spatial_dims: 2 or 3.
        image_channels: Channels of the image. With `spec.input == "mind"` each becomes several descriptor channels.
        classes: Number of classes, background included.
        seed: Determines the initial weights. The state of torch's global generator stays as it was.

    Returns:
        A module that maps (b, image_channels, i, j[, k]) to logits (b, classes, i, j[, k]). Every edge of a patch must
        be a multiple of `spec.stride` voxels.

    Raises:
        XmedError: SPEC_INVALID for an unknown name.
    """
    uses_mind = spec.input == "mind"
    in_channels = descriptor_channels(spatial_dims) * image_channels if uses_mind else image_channels
    network_class, arguments = network_definition(spec, spatial_dims, in_channels, classes)
    with initialised_from(seed):
        net: nn.Module = network_class(**arguments)
    net = nn.Sequential(MindDescriptor(), net) if uses_mind else net
    return net if spec.members == 1 else Ensemble(copy.deepcopy(net) for _ in range(spec.members))


class Ensemble(nn.Module):
    """Several networks whose probabilities are averaged (Lakshminarayanan et al., NeurIPS 2017)."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, image: Tensor) -> Tensor:
        """Average the members' probabilities.

        Args:
            image: Normalised patches (b, c, i, j[, k]).

        Returns:
            log(mean of the members' probabilities), (b, classes, i, j[, k]): their softmax is that mean.
        """
        return torch.stack([member(image).float().softmax(1) for member in self.members]).mean(0).clamp_min(1e-7).log()


def default_device() -> torch.device:
    """Choose the device of this machine.

    Returns:
        The GPU where there is one, else the CPU.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
