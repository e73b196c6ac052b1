"""Change the appearance of an image by a random shallow convolutional network (GIN).

Source: Ouyang et al., IEEE TMI 2022, arXiv:2111.12525, sections III-B (GIN) and III-C (IPA).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

LAYERS, WIDTH, SLOPE = 4, 2, 0.01  # four layers of two channels, leaky ReLU: the paper's network
CONTROL_POINTS, SPREAD = (
    5,
    0.3,
)  # a node every quarter of the patch and the sd of the log of the map: the reference code


@torch.no_grad()
def random_convolutions(image: Tensor, fov: Tensor | None = None) -> Tensor:
    """image (b, c, i, j[, k]), normalised → the same shape: mixed with, and of the same Frobenius norm as, itself.

    Every item has its own weights ~ N(0, 1), kernel sizes 1 or 3 are drawn per layer for the batch, and the mixing
    share is uniform per item. Random numbers come from torch's global generator. Outside `fov` (b, i, j[, k]) the image
    stays as it is.
    """
    b, c, *space = image.shape
    convolve = functional.conv2d if len(space) == 2 else functional.conv3d
    x = image.reshape(1, b * c, *space)
    widths = [c] + [WIDTH] * (LAYERS - 1) + [c]
    for layer, (cin, cout) in enumerate(pairwise(widths)):
        size = 1 if torch.rand(()) < 0.5 else 3
        weight = torch.randn(b * cout, cin, *([size] * len(space)), device=image.device, dtype=image.dtype)
        x = convolve(
            x, weight, torch.randn(b * cout, device=image.device, dtype=image.dtype), padding=size // 2, groups=b
        )
        if layer < LAYERS - 1:
            x = functional.leaky_relu(x, SLOPE)
    x = x.reshape(b, c, *space)
    ones = [1] * (1 + len(space))
    share = torch.rand(b, *ones, device=image.device, dtype=image.dtype)
    mixed = share * x + (1 - share) * image
    norm = lambda t: t.flatten(1).norm(dim=1).reshape(b, *ones)  # noqa: E731
    mixed = mixed * norm(image) / (norm(mixed) + 1e-5)
    return mixed if fov is None else torch.where(fov[:, None], mixed, image)


@torch.no_grad()
def blend_appearances(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Two appearances (b, c, i, j[, k]) of the same patches, blended both ways by one smooth random map per patch.

    Interventional pseudo-correlation: m·one + (1 − m)·other and (1 − m)·one + m·other, so that neighbouring structures
    no longer share an acquisition. m in [0, 1] comes from log-normal control points, interpolated (cubic in 2-D, linear
    in 3-D) and stretched to the whole interval.
    """
    b, _, *space = one.shape
    coarse = SPREAD * torch.randn(b, 1, *[CONTROL_POINTS] * len(space), device=one.device, dtype=one.dtype)
    mode = "bicubic" if len(space) == 2 else "trilinear"
    m = functional.interpolate(coarse, size=space, mode=mode, align_corners=True).exp()
    low, high = (v.reshape(b, *[1] * (1 + len(space))) for v in (m.flatten(1).amin(1), m.flatten(1).amax(1)))
    m = (m - low) / (high - low).clamp_min(1e-6)
    return torch.lerp(other, one, m), torch.lerp(one, other, m)
