"""Change the appearance of an image and not its shapes: by a random network (GIN), or by another image (FDA).

Source: Ouyang et al., IEEE TMI 2022, arXiv:2111.12525, sections III-B (GIN) and III-C (IPA).

Source: Yang & Soatto, FDA: Fourier domain adaptation for semantic segmentation, CVPR 2020, arXiv:2004.05498.
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


@torch.no_grad()
def mix_amplitude(
    image: Tensor,
    style: Tensor,
    size: Tensor,
    share: Tensor,
    fov: Tensor | None = None,
    style_fov: Tensor | None = None,
) -> Tensor:
    """Return images with |F| = (1 − share)·|F(image)| + share·|F(style)| at low frequencies; phases stay.

    The low frequencies are a box, |k| ≤ floor(size · shortest edge) along every axis. It always holds the mean, so a
    small `size` still has an effect. Both images are lifted to values ≥ 0 first: the paper transforms raw pixels, and
    the amplitude of a negative mean would come back with the wrong sign. Outside a field of view the mean inside it is
    used, or the shape of an ultrasound sector would be transferred. No value leaves the range of the two images.

    Args:
        image: (b, c, i, j[, k]).
        style: Images of the same shape.
        size: Half-width of the box as a share of the shortest edge, (b,).
        share: Share of the style's amplitude, (b,).
        fov: Field of view of `image`, bool (b, i, j[, k]); outside it the image stays unchanged.
        style_fov: Field of view of `style`.

    Returns:
        Images of the same shape.
    """
    axes, space, ones = list(range(2, image.ndim)), image.shape[2:], [1] * (image.ndim - 1)
    content, filled_style = _filled(image.float(), fov), _filled(style.float(), style_fov)
    values = torch.cat([content.flatten(1), filled_style.flatten(1)], 1)
    least, most = (v.reshape(-1, *ones) for v in (values.amin(1), values.amax(1)))
    spectrum = torch.fft.rfftn(content - least, dim=axes)
    style_spectrum = torch.fft.rfftn(filled_style - least, dim=axes)
    low = _box(space, torch.floor(size * min(space)).to(image.device))
    mixed = torch.lerp(spectrum.abs(), style_spectrum.abs(), share.to(image.device).reshape(-1, *ones))
    amplitude = torch.where(low, mixed, spectrum.abs())
    mixed_image = torch.fft.irfftn(torch.polar(amplitude, spectrum.angle()), s=space, dim=axes) + least
    mixed_image = torch.minimum(torch.maximum(mixed_image, least), most).to(image.dtype)
    return mixed_image if fov is None else torch.where(fov[:, None], mixed_image, image)


def _filled(image: Tensor, fov: Tensor | None) -> Tensor:
    """Replace what lies outside the field of view by the mean inside it, channel by channel."""
    if fov is None:
        return image
    axes = list(range(2, image.ndim))
    inside = fov[:, None]
    mean = (image * inside).sum(axes, keepdim=True) / inside.sum(axes, keepdim=True).clamp_min(1)
    return torch.where(inside, image, mean)


def _box(space: torch.Size, half: Tensor) -> Tensor:
    """Mark the frequencies with |k| ≤ half along every axis, bool (b, 1, ...) in the layout of `rfftn`; half (b,)."""
    low = torch.ones(len(half), 1, *[1] * len(space), dtype=torch.bool, device=half.device)
    for axis, n in enumerate(space):
        last = axis == len(space) - 1
        k = torch.fft.rfftfreq(n, 1 / n) if last else torch.fft.fftfreq(n, 1 / n)
        k = k.abs().round().to(half.device).reshape([-1 if a == axis else 1 for a in range(len(space))])
        low = low & (k <= half.reshape(-1, 1, *[1] * len(space)))
    return low
