"""Change the appearance of an image by a random shallow convolutional network (GIN).

Source: Ouyang et al., IEEE TMI 2022, arXiv:2111.12525, sections III-B (GIN) and III-C (IPA).
"""

from __future__ import annotations

import functools
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from xmed.networks.random_numbers import RandomNumbers

LAYERS, WIDTH, SLOPE = 4, 2, 0.01
"""Four layers of two channels with leaky ReLU: the paper's network."""
CONTROL_POINTS, SPREAD = 5, 0.3
"""A node every quarter of the patch, and the standard deviation of the logarithm of the map: the reference code."""


@torch.no_grad()
def random_convolutions(image: Tensor, random: RandomNumbers, fov: Tensor | None = None) -> Tensor:
    """Pass every image through its own random network and mix the result with the image.

    Weights are drawn from N(0, 1) for each item, kernel sizes (1 or 3) per layer for the batch, and the mixing share
    uniformly for each item.

    Args:
        image: Normalised images (b, c, i, j[, k]).
        random: Draws the networks.
        fov: Field of view, bool (b, i, j[, k]); outside it the image stays as it is.

    Returns:
        Images of the same shape, each with the Frobenius norm of the original.
    """
    b, c, *space = image.shape
    convolve = functional.conv2d if len(space) == 2 else functional.conv3d
    normal, uniform = (
        functools.partial(draw, device=image.device, dtype=image.dtype, generator=random.on(image.device))
        for draw in (torch.randn, torch.rand)
    )
    x = image.reshape(1, b * c, *space)
    widths = [c] + [WIDTH] * (LAYERS - 1) + [c]
    for layer, (cin, cout) in enumerate(pairwise(widths)):
        size = 1 if torch.rand((), generator=random.cpu) < 0.5 else 3
        weight, bias = normal(b * cout, cin, *([size] * len(space))), normal(b * cout)
        x = convolve(x, weight, bias, padding=size // 2, groups=b)
        if layer < LAYERS - 1:
            x = functional.leaky_relu(x, SLOPE)
    x = x.reshape(b, c, *space)
    ones = [1] * (1 + len(space))
    share = uniform(b, *ones)
    mixed = share * x + (1 - share) * image
    norm, mixed_norm = (torch.linalg.vector_norm(x.flatten(1), dim=1).reshape(b, *ones) for x in (image, mixed))
    mixed = mixed * norm / (mixed_norm + 1e-5)
    return mixed if fov is None else torch.where(fov[:, None], mixed, image)


@torch.no_grad()
def blend_appearances(first: Tensor, second: Tensor, random: RandomNumbers) -> tuple[Tensor, Tensor]:
    """Blend two appearances of the same patches in both directions by one smooth random map m per patch.

    Interventional pseudo-correlation: neighbouring structures no longer share one acquisition. m in [0, 1] comes from
    log-normal control points, interpolated (cubic in 2-D, linear in 3-D) and stretched to the whole interval.

    Args:
        first: (b, c, i, j[, k]).
        second: Of the same shape.
        random: Draws the maps.

    Returns:
        m·first + (1 − m)·second, and (1 − m)·first + m·second.
    """
    b, _, *space = first.shape
    points, generator = [CONTROL_POINTS] * len(space), random.on(first.device)
    coarse = SPREAD * torch.randn(b, 1, *points, device=first.device, dtype=first.dtype, generator=generator)
    mode = "bicubic" if len(space) == 2 else "trilinear"
    m = functional.interpolate(coarse, size=space, mode=mode, align_corners=True).exp()
    low, high = (v.reshape(b, *[1] * (1 + len(space))) for v in (m.flatten(1).amin(1), m.flatten(1).amax(1)))
    m = (m - low) / (high - low).clamp_min(1e-6)
    return torch.lerp(second, first, m), torch.lerp(first, second, m)
