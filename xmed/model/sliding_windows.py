"""Sliding windows: predict a volume patch by patch, and blend what overlaps.

Inside the field of view the result is that of MONAI's `sliding_window_inference`, averaged over mirrored copies of the
volume. It differs in what it costs. A window is not computed where nothing in it is in the field of view and brighter
than the darkest. A first look covers the volume with few windows of the copy that is not mirrored: where it finds
nothing but background, the other windows and copies are not computed, because they are most of the work and hardly ever
find more. No copy of the volume is mirrored, and all are summed in one array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, pairwise, product

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
SURELY_BACKGROUND = 0.05
"""Where the first look gives all structures together less than this probability, it is not looked at again."""

Window = tuple[slice, ...]


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
    still_open = worth_computing
    copies = list(product(*((False, True) if flipped else (False,) for flipped in flips)))
    importance = compute_importance_map(tuple(patch), mode="gaussian", sigma_scale=SIGMA) / len(copies)
    total, left_out = torch.zeros(classes, *seen.shape), torch.zeros(seen.shape)
    for mirrored in copies:
        axes = [2 + axis for axis in compress(range(len(patch)), mirrored)]
        looks = _looks(size, patch, mirrored, overlap)
        covered = _sum_of_windows(importance, [window for windows in looks for window in windows], seen.shape[1:])
        covered *= len(copies)
        for windows in looks:
            places = []
            for number, window in product(range(len(stack)), windows):
                if still_open[number][window].any():
                    places.append((number, window))
                elif worth_computing[number][window].any():
                    left_out[number][window] += importance / covered[window]
            for first in range(0, len(places), AT_ONCE):
                batch = places[first : first + AT_ONCE]
                patches = torch.stack([stack[number][(slice(None), *window)] for number, window in batch])
                for (number, window), p in zip(batch, predict(patches.flip(axes)).flip(axes)):
                    total[:, number][(slice(None), *window)] += p * (importance / covered[window])
            if still_open is worth_computing:
                looked = _sum_of_windows(importance, windows, seen.shape[1:]) / covered
                still_open = worth_computing & (total[1:].sum(0) >= SURELY_BACKGROUND * looked).numpy()
    total /= 1 - left_out
    total[0] += 1 - total.sum(0)
    original = (slice(margin, margin + voxels) for margin, voxels in zip(margins, size))
    return total[(slice(None), slice(None), *original)].numpy()


def _looks(size: Sequence[int], patch: Sequence[int], mirrored: Sequence[bool], overlap: float) -> list[list[Window]]:
    """The windows of one copy: few that cover it, then the others; of a mirrored copy all at once."""
    starts = _starts(size, patch, mirrored, overlap)
    corners = list(product(*starts))
    if any(mirrored):
        return [_windows(corners, patch)]
    few = set(product(*(_covering(along, edge) for along, edge in zip(starts, patch))))
    return [_windows([corner for corner in corners if (corner in few) == first], patch) for first in (True, False)]


def _starts(size: Sequence[int], patch: Sequence[int], mirrored: Sequence[bool], overlap: float) -> list[list[int]]:
    """Where windows begin along each axis, as by MONAI's `dense_patch_slices`, from the far end of mirrored axes.

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
    return starts


def _covering(starts: Sequence[int], edge: int) -> list[int]:
    """As few of the ascending starts as cover what all of them cover."""
    few = [starts[0]]
    for start, following in pairwise(starts[1:]):
        if following > few[-1] + edge:
            few.append(start)
    return [*few, starts[-1]]


def _windows(corners: Sequence[tuple[int, ...]], patch: Sequence[int]) -> list[Window]:
    return [tuple(slice(start, start + edge) for start, edge in zip(corner, patch)) for corner in corners]


def _sum_of_windows(importance: Tensor, windows: Sequence[Window], size: Sequence[int]) -> Tensor:
    """The sum of the importance of all windows that cover a voxel."""
    covered = torch.zeros(*size)
    for window in windows:
        covered[window] += importance
    return covered
