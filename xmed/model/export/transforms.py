"""The preprocessing of a model as MONAI transforms; a bundle carries a copy of this file."""

from __future__ import annotations

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from scipy import ndimage

from xmed.io.field_of_view import field_of_view
from xmed.prepare.intensity import normalise


def sector(image: MetaTensor) -> MetaTensor:
    """(1, i, j, k) → the same shape, 1 where an ultrasound scanner saw anything and 0 elsewhere."""
    return _like(image, field_of_view(image[0].numpy())[np.newaxis])


def everywhere(image: MetaTensor) -> MetaTensor:
    """(1, i, j, k) → ones: other scanners see all of their picture."""
    return torch.ones_like(image)  # type: ignore[return-value]


def smoothed(image: MetaTensor, spacing_mm: list[float]) -> MetaTensor:
    """Against aliasing on a coarser grid: a Gaussian of 0.42·√(f² − 1) voxels along i, j, k, f old voxels per new."""
    factor = np.asarray(spacing_mm) / image.pixdim.numpy()
    sigma = 0.42 * np.sqrt(np.maximum(factor**2 - 1.0, 0.0))
    return _like(image, ndimage.gaussian_filter(image[0].numpy(), sigma, mode="nearest", truncate=3)[np.newaxis])


def normalised(both: MetaTensor, window: list[float] | None) -> MetaTensor:
    """(2, i, j, k), image and field of view → (1, i, j, k): zero mean, unit variance inside the field of view."""
    image, fov = both.numpy()
    found = normalise(image, fov >= 0.5, None if window is None else (window[0], window[1]))
    return _like(both.narrow(0, 0, 1), found[np.newaxis])


def _like(image: torch.Tensor, array: np.ndarray) -> MetaTensor:
    """`array` in the place of `image`, with what MONAI knows of where it lies and how it came there."""
    out = image.clone()
    out.copy_(torch.as_tensor(array, dtype=image.dtype))
    return out  # type: ignore[return-value]  # operations on a MetaTensor give one
