"""Perturb patches: other gain, blur, noise, hidden blocks. A student's predictions must not depend on these."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from xmed.networks.random_numbers import RandomNumbers

GAIN, OFFSET, NOISE = 0.2, 0.2, 0.2
"""Standard deviations of the log gain and of the offset, and the largest noise, in units of the image's standard
deviation.
"""
BLUR, TAPS = (0.15, 1.15), 7
"""Range of the Gaussian's standard deviation (voxels), which half of the patches get: DAFormer (Hoyer et al., CVPR
2022); and its length.
"""


@torch.no_grad()
def perturb_intensities(image: Tensor, random: RandomNumbers, fov: Tensor | None = None) -> Tensor:
    """Give every patch its own blur, gain, offset and noise.

    Args:
        image: Normalised patches (b, c, i, j[, k]).
        random: Draws the changes.
        fov: Field of view, bool (b, i, j[, k]); outside it nothing changes. None for everywhere.

    Returns:
        Patches of the same shape.
    """
    ones = [len(image)] + [1] * (image.ndim - 1)
    draw, normal = (
        functools.partial(draw, device=image.device, dtype=image.dtype, generator=random.on(image.device))
        for draw in (torch.rand, torch.randn)
    )
    blurred = torch.where(draw(ones) < 0.5, random_blur(image, random), image)
    level = NOISE * draw(ones)
    perturbed = blurred * torch.exp(GAIN * normal(ones)) + OFFSET * normal(ones) + level * normal(image.shape)
    return perturbed if fov is None else torch.where(fov[:, None], perturbed, image)


def random_blur(image: Tensor, random: RandomNumbers) -> Tensor:
    """Filter every patch (b, c, i, j[, k]) with a separable Gaussian of its own random width; edges are replicated."""
    b, c, *space = image.shape
    low, high = BLUR
    generator = random.on(image.device)
    sigma = low + (high - low) * torch.rand(b, 1, device=image.device, dtype=image.dtype, generator=generator)
    offsets = torch.arange(TAPS, device=image.device, dtype=image.dtype) - TAPS // 2
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    convolve = functional.conv2d if len(space) == 2 else functional.conv3d
    x = image.reshape(1, b * c, *space)
    for axis in range(len(space)):
        shape = [TAPS if n == axis else 1 for n in range(len(space))]
        pads = [side for n in reversed(range(len(space))) for side in ([TAPS // 2] * 2 if n == axis else [0, 0])]
        weight = kernel.reshape(b * c, 1, *shape)
        x = convolve(functional.pad(x, pads, mode="replicate"), weight, groups=b * c)
    return x.reshape(image.shape)


def random_blocks(image: Tensor, share: float, cell: int, random: RandomNumbers) -> Tensor:
    """Draw blocks of voxels, each with probability `share`.

    Args:
        image: (b, c, i, j[, k]); only its shape and device matter.
        share: Probability of a block.
        cell: Edge of a block in voxels.
        random: Draws the blocks.

    Returns:
        Bool (b, 1, i, j[, k]).
    """
    space = image.shape[2:]
    cells, generator = [-(-n // cell) for n in space], random.on(image.device)
    blocks = torch.rand(len(image), 1, *cells, device=image.device, generator=generator) < share
    for axis, n in enumerate(space, start=2):
        blocks = blocks.repeat_interleave(cell, axis).narrow(axis, 0, n)
    return blocks
