"""Build a network by its name in a study: MONAI's classes, sized by the study and initialised by a seed.

The input may be MIND self-similarity descriptors, which describe a neighbourhood by its own similarities and not by
intensities, and look alike in all modalities. Source: Heinrich et al., MICCAI 2013 (self-similarity context, SSC), as
network input by Weihsbach et al., DG-TTA, 2023.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.errors import XmedError
from xmed.networks.monai_parts import DynUNet, SegResNet
from xmed.networks.random_numbers import initialised_from
from xmed.spec import NetworkSpec

SIGMA, TAPS = 1.0, 5
"""Standard deviation (voxels) and length of the Gaussian over which two neighbours are compared: the values of
DG-TTA.
"""
NetworkDefinition = tuple[type[nn.Module], dict[str, Any]]
"""A network's class, and the keyword arguments of its constructor. JSON can hold the arguments."""


def _neighbour_pairs(dims: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Unordered pairs of face neighbours at squared distance 2: 4 in 2-D, 12 in 3-D."""
    axes = [tuple(int(axis == n) * sign for axis in range(dims)) for n in range(dims) for sign in (-1, 1)]
    return [(a, b) for a, b in combinations(axes, 2) if sum((x - y) ** 2 for x, y in zip(a, b)) == 2]


def descriptor_channels(dims: int) -> int:
    """Return the number of descriptor channels for each channel of the image."""
    return len(_neighbour_pairs(dims))


class MindDescriptor(nn.Module):
    """MIND self-similarity context: image (b, c, i, j[, k]) → (b, c · descriptor_channels, i, j[, k]) in (0, 1].

    For each pair (a, b) of neighbours D = G_σ * (I(x + a) − I(x + b))². The descriptor is exp(−(D − min D) / V) with
    min over pairs. V is the mean of D − min D over pairs, clamped to [0.001, 1000] times its mean over the patch.
    """

    def forward(self, image: Tensor) -> Tensor:
        dims = image.ndim - 2
        flat = image.float().flatten(0, 1)[:, None]
        padded = functional.pad(flat, [1] * (2 * dims), mode="replicate")
        squared = torch.cat([(_shifted(padded, a) - _shifted(padded, b)) ** 2 for a, b in _neighbour_pairs(dims)], 1)
        distance = _smooth(squared)
        distance = distance - distance.amin(1, keepdim=True)
        spread = distance.mean(1, keepdim=True)
        level = spread.mean(tuple(range(1, spread.ndim)), keepdim=True)
        spread = torch.minimum(torch.maximum(spread, 0.001 * level), 1000 * level).clamp_min(1e-6)
        descriptor = torch.exp(-distance / spread).to(image.dtype)
        return descriptor.reshape(image.shape[0], -1, *image.shape[2:])


def _shifted(padded: Tensor, offset: tuple[int, ...]) -> Tensor:
    """Return every voxel's neighbour at `offset`, from an image that is padded by one voxel."""
    for axis, step in enumerate(offset, start=2):
        padded = padded.narrow(axis, 1 + step, padded.shape[axis] - 2)
    return padded


def _smooth(stack: Tensor) -> Tensor:
    """Apply a separable Gaussian to the spatial axes, with replicated edges."""
    dims, count = stack.ndim - 2, stack.shape[1]
    offsets = torch.arange(TAPS, device=stack.device) - TAPS // 2
    kernel = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel = (kernel / kernel.sum()).to(stack.dtype)
    convolve = functional.conv2d if dims == 2 else functional.conv3d
    for axis in range(dims):
        shape = [TAPS if n == axis else 1 for n in range(dims)]
        weight = kernel.reshape(1, 1, *shape).expand(count, 1, *shape)
        pads = [side for n in reversed(range(dims)) for side in ([TAPS // 2] * 2 if n == axis else [0, 0])]
        stack = convolve(functional.pad(stack, pads, mode="replicate"), weight, groups=count)
    return stack


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
