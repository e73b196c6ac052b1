"""Give one image the strength of another's low frequencies, without moving its shapes.

Source: Yang & Soatto, FDA: Fourier domain adaptation for semantic segmentation, CVPR 2020, arXiv:2004.05498.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
