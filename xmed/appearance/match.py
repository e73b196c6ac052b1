"""Match: which renderings lie nearest to the unlabelled target, by image statistics alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, stats

CLIP = 4.0


def statistics(image: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """About thirty numbers of a normalised volume (i, j, k) inside its field of view: contrast, texture, shading."""
    seen = image[fov]
    spread = [np.percentile(seen, q) for q in (5, 25, 50, 75, 95)]
    shape = [float(stats.skew(seen)), float(np.log(max(stats.kurtosis(seen, fisher=False), 1e-3)))]
    centred = np.where(fov, image - seen.mean(), 0)
    smooth = [_correlation(centred, fov, axis, lag) for axis in (0, 1) for lag in (1, 2, 4, 8)]
    smooth.append(_correlation(centred, fov, 2, 1))
    fine = np.log(max(float((image - ndimage.gaussian_filter(image, 1))[fov].std()), 1e-6))
    bands = [_mean(part, seen_part) for axis in (0, 1) for part, seen_part in _bands(centred, fov, axis)]
    return np.array([*spread, *shape, *smooth, fine, *bands])


def nearest(pool: Sequence[np.ndarray], targets: Sequence[np.ndarray], share: float) -> list[int]:
    """Indices, ascending, of the `share` of the pool's statistics that lie nearest to some target's.

    Scale: sd over the targets + a quarter of the sd over the pool; distance: mean absolute difference, clipped at 4.
    """
    p, t = np.stack(pool), np.stack(targets)
    scale = t.std(0) + 0.25 * p.std(0) + 1e-6
    distance = np.minimum(np.abs(p[None] - t[:, None]) / scale, CLIP).mean(-1).min(0)
    return sorted(np.argsort(distance, kind="stable")[: max(1, round(share * len(p)))].tolist())


def _correlation(centred: np.ndarray, fov: np.ndarray, axis: int, lag: int) -> float:
    if centred.shape[axis] <= lag:
        return 0.0
    ahead, behind = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], behind[axis] = slice(lag, None), slice(None, -lag)
    a, b, both = centred[tuple(ahead)], centred[tuple(behind)], fov[tuple(ahead)] & fov[tuple(behind)]
    return float((a * b)[both].mean() / max(float((centred[fov] ** 2).mean()), 1e-6)) if both.any() else 0.0


def _bands(centred: np.ndarray, fov: np.ndarray, axis: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(np.array_split(centred, 5, axis), np.array_split(fov, 5, axis)))


def _mean(part: np.ndarray, seen: np.ndarray) -> float:
    return float(part[seen].mean()) if seen.any() else 0.0
