"""MIND self-similarity descriptors, which describe a neighbourhood by its own similarities and not by intensities.

They look alike in all modalities. Source: Heinrich et al., MICCAI 2013 (self-similarity context, SSC), as network input
by Weihsbach et al., DG-TTA, 2023.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIGMA, TAPS = 1.0, 5
"""Standard deviation (voxels) and length of the Gaussian over which two neighbours are compared: the values of
DG-TTA.
"""


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
