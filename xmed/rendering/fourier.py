"""Fourier: one image's low frequencies as strong as another's, its shapes left where they are.

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
    """image, style (b, c, i, j[, k]) → image with |F| = (1 − share)·|F(image)| + share·|F(style)| at low frequencies.

    The box is |k| ≤ floor(size · shortest edge) along every axis; it always holds the mean, so a small `size` still
    does something. size, share (b,). Both images are lifted to values ≥ 0 first: the paper transforms raw pixels, and
    the amplitude of a negative mean would come back with the wrong sign. Outside a field of view (b, i, j[, k]) stands
    the mean inside it, or the shape of an ultrasound sector would leak; outside `fov` the image comes back untouched,
    and no value leaves the range of the two images.
    """
    axes, space, ones = list(range(2, image.ndim)), image.shape[2:], [1] * (image.ndim - 1)
    whole, other = _filled(image.float(), fov), _filled(style.float(), style_fov)
    both = torch.cat([whole.flatten(1), other.flatten(1)], 1)
    least, most = (v.reshape(-1, *ones) for v in (both.amin(1), both.amax(1)))
    ours, theirs = torch.fft.rfftn(whole - least, dim=axes), torch.fft.rfftn(other - least, dim=axes)
    low = _box(space, torch.floor(size * min(space)).to(image.device))
    mixed = torch.lerp(ours.abs(), theirs.abs(), share.to(image.device).reshape(-1, *ones))
    amplitude = torch.where(low, mixed, ours.abs())
    out = torch.fft.irfftn(torch.polar(amplitude, ours.angle()), s=space, dim=axes) + least
    out = torch.minimum(torch.maximum(out, least), most).to(image.dtype)
    return out if fov is None else torch.where(fov[:, None], out, image)


def _filled(image: Tensor, fov: Tensor | None) -> Tensor:
    """`image` with its mean inside the field of view, channel by channel, in place of what lies outside."""
    if fov is None:
        return image
    axes = list(range(2, image.ndim))
    inside = fov[:, None]
    mean = (image * inside).sum(axes, keepdim=True) / inside.sum(axes, keepdim=True).clamp_min(1)
    return torch.where(inside, image, mean)


def _box(space: torch.Size, half: Tensor) -> Tensor:
    """Bool (b, 1, ...) in the layout of rfftn: frequencies with |k| ≤ half along every axis. half (b,)."""
    low = torch.ones(len(half), 1, *[1] * len(space), dtype=torch.bool, device=half.device)
    for axis, n in enumerate(space):
        last = axis == len(space) - 1
        k = torch.fft.rfftfreq(n, 1 / n) if last else torch.fft.fftfreq(n, 1 / n)
        k = k.abs().round().to(half.device).reshape([-1 if a == axis else 1 for a in range(len(space))])
        low = low & (k <= half.reshape(-1, 1, *[1] * len(space)))
    return low
