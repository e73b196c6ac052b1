"""The preprocessing of a model as MONAI transforms. A bundle contains a copy of this file."""

from __future__ import annotations

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from scipy import ndimage

from xmed.io.field_of_view import field_of_view
from xmed.prepare.intensity import normalise


def sector(image: MetaTensor) -> MetaTensor:
    """Return 1 where an ultrasound scanner saw something, else 0; (1, i, j, k)."""
    return _like(image, field_of_view(image[0].numpy())[np.newaxis])


def everywhere(image: MetaTensor) -> MetaTensor:
    """Return ones, (1, i, j, k): other scanners see all of their picture."""
    return torch.ones_like(image)  # type: ignore[return-value]  # operations on a MetaTensor give one


def smoothed(image: MetaTensor, spacing_mm: list[float]) -> MetaTensor:
    """Filter against aliasing on a coarser grid, (1, i, j, k).

    The Gaussian has 0.42·√(f² − 1) voxels along i, j, k, where f is the number of old voxels per new one.
    """
    factor = np.asarray(spacing_mm) / image.pixdim.numpy()
    sigma = 0.42 * np.sqrt(np.maximum(factor**2 - 1.0, 0.0))
    return _like(image, ndimage.gaussian_filter(image[0].numpy(), sigma, mode="nearest", truncate=3)[np.newaxis])


def normalised(both: MetaTensor, window: list[float] | None) -> MetaTensor:
    """Normalise to zero mean and unit variance inside the field of view.

    Args:
        both: Image and field of view, (2, i, j, k).
        window: Intensities are clipped to it first, if it is given.

    Returns:
        (1, i, j, k).
    """
    image, fov = both.numpy()
    normal = normalise(image, fov >= 0.5, None if window is None else (window[0], window[1]))
    return _like(both.narrow(0, 0, 1), normal[np.newaxis])


def _like(image: torch.Tensor, array: np.ndarray) -> MetaTensor:
    """Return `array` with the position and history that MONAI knows of `image`."""
    out = image.clone()
    out.copy_(torch.as_tensor(array, dtype=image.dtype))
    return out  # type: ignore[return-value]  # operations on a MetaTensor give one
