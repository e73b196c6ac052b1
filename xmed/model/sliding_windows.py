"""Sliding windows: predict a volume patch by patch, and blend what overlaps.

Inside the field of view the result is that of MONAI's `sliding_window_inference`, averaged over mirrored copies of the
volume. It differs in what it costs: a window without a voxel of the field of view that is
brighter than the darkest is not computed, no copy of the volume is mirrored, and
all copies are summed in one array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xmed.networks.monai_parts import compute_importance_map

OVERLAP, QUICK_OVERLAP = 0.5, 0.25
"""Share of a window's edge that the next window covers, too: for results, and for choices among models."""
SIGMA = 0.125
"""Standard deviation of a window's importance, as a share of its edge: MONAI's default."""
AT_ONCE = 16
"""Windows per batch."""


def predict_by_windows(
    stack: Tensor, patch: Sequence[int], predict: Callable[[Tensor], Tensor], classes: int, seen: np.ndarray,
    flips: Sequence[bool], overlap: float = OVERLAP,
) -> np.ndarray:  # fmt: skip
    """Predict class probabilities of a stack of images, the mean over their mirrored copies.

    Args:
        stack: Images (n, c, i, j) or volumes (n, c, i, j, k).
        patch: Edges of a window, in voxels.
        predict: Network: patches (b, c, i, j[, k]) → probabilities (b, classes, i, j[, k]) on the CPU.
        classes: Number of classes, with the background.
        seen: Where the field of view is, bool (n, i, j[, k]).
        flips: For each axis whether it is mirrored.
        overlap: Share of a window's edge that the next window covers, too, 0 to less than 1.

    Returns:
        Float32 (classes, n, i, j[, k]). It sums to 1 over the classes. Where nothing was computed, it is background.
    """
    size, low = tuple(stack.shape[2:]), float(stack.min())
    margins = [(max(edge - voxels, 0) + 1) // 2 for edge, voxels in zip(patch, size)]
    if any(margins):
        around = [width for margin in margins[::-1] for width in (margin, margin)]
        stack = functional.pad(stack, around, value=low)
        seen = np.pad(seen, [(0, 0), *((margin, margin) for margin in margins)])
    worth_computing = (stack > low).any(1).numpy() & seen
    importance = compute_importance_map(tuple(patch), mode="gaussian", sigma_scale=SIGMA)
    copies = list(product(*((False, True) if flipped else (False,) for flipped in flips)))
    total = torch.zeros(classes, *seen.shape)
    for mirrored in copies:
        windows = _windows(size, patch, mirrored, overlap)
        covered = torch.zeros(stack.shape[2:])
        for window in windows:
            covered[window] += importance
        axes = [2 + axis for axis in compress(range(len(patch)), mirrored)]
        places = [(number, window) for number, shows in enumerate(worth_computing) for window in windows
                  if shows[window].any()]  # fmt: skip
        for first in range(0, len(places), AT_ONCE):
            batch = places[first : first + AT_ONCE]
            patches = torch.stack([stack[number][(slice(None), *window)] for number, window in batch])
            for (number, window), p in zip(batch, predict(patches.flip(axes)).flip(axes)):
                total[:, number][(slice(None), *window)] += p * (importance / covered[window] / len(copies))
    total[0] += 1 - total.sum(0)
    original = (slice(margin, margin + voxels) for margin, voxels in zip(margins, size))
    return total[(slice(None), slice(None), *original)].numpy()


def _windows(
    size: Sequence[int], patch: Sequence[int], mirrored: Sequence[bool], overlap: float
) -> list[tuple[slice, ...]]:
    """The windows that cover an image, placed as by MONAI's `dense_patch_slices`, from the far end of mirrored axes.

    An axis that is shorter than the window has one, with the image in its middle; of an odd margin the larger half lies
    at the far end. The image has the larger half at both ends.
    """
    starts = []
    for voxels, edge, from_far_end in zip(size, patch, mirrored):
        missing = max(edge - voxels, 0)
        last = voxels + 2 * ((missing + 1) // 2) - edge
        interval = edge if edge == voxels else max(int(edge * (1 - overlap)), 1)
        near = [last] if missing else [min(start, last) for start in range(0, last + interval, interval)]
        starts.append([last - start for start in near] if from_far_end else near)
    return [tuple(slice(start, start + edge) for start, edge in zip(corner, patch)) for corner in product(*starts)]
