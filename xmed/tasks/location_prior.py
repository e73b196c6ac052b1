"""Location prior: where in the field of view a structure usually lies, from label maps alone.

A voxel's place is its share of the way through the field of view's bounding box, so that cases of any size compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.prepare.geometry import resize

CELLS = 32
"""Cells per edge of the frame in which masks are averaged: the field of view's box, whatever its size."""
SPREAD, FLOOR = 0.04, 0.01
"""A few masks are a coarse sample of where a structure may be: their mean is blurred by this share of the box, and no
place is ruled out."""
TELLING = 0.5
"""A place that labelled cases share to less than half says little of where a structure should be found."""
Labelled = tuple[str, np.ndarray, np.ndarray]
"""The name, label map and field of view (i, j, k) of a labelled case."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks; two empty ones agree on nothing, or a collapsed model would look perfectly stable."""
    mass = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / mass if mass else 0.0


def framed(mask: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """A mask (i, j, k) inside its field of view's box, float32 (CELLS, CELLS, CELLS)."""
    return resize(mask[_box(fov)].astype(np.float32), (CELLS,) * 3)


def placed(atlas: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """A framed map laid into the box of a field of view (i, j, k), float32; 0 outside the field."""
    out = np.zeros(fov.shape, dtype=np.float32)
    where = _box(fov)
    out[where] = resize(atlas, out[where].shape)
    return np.where(fov, out, 0)


@dataclass(frozen=True, eq=False)
class MeanMask:
    """Where one structure lies in labelled cases: the mean of their framed masks; share: of the field that it takes."""

    atlas: np.ndarray
    share: float

    @classmethod
    def of(cls, masks: Sequence[np.ndarray], fovs: Sequence[np.ndarray]) -> MeanMask:
        """From bool masks (i, j, k), each with its field of view."""
        shares = [mask.sum() / fov.sum() for mask, fov in zip(masks, fovs)]
        return cls(np.mean([framed(mask, fov) for mask, fov in zip(masks, fovs)], axis=0), float(np.mean(shares)))

    def above(self, fov: np.ndarray, cut: float | None = None) -> np.ndarray:
        """The mask (i, j, k) laid into a field of view and cut there; by default so that it has the expected size."""
        laid = placed(self.atlas, fov)
        return laid > max(float(np.quantile(laid[fov], 1 - self.share)) if cut is None else cut, 1e-6)


@dataclass(frozen=True, eq=False)
class Usual:
    """Where labelled cases have structures 1, 2, ...: the mean masks."""

    means: tuple[MeanMask, ...]

    @classmethod
    def of(cls, cases: Sequence[Labelled], classes: int) -> Usual:
        fovs = [fov for _, _, fov in cases]
        return cls(tuple(MeanMask.of([label == v for _, label, _ in cases], fovs) for v in range(1, classes)))

    def agreement(self, label: np.ndarray, fov: np.ndarray) -> float:
        """Dice of a label map (i, j, k) with the mean masks, mean over structures."""
        return float(np.mean([dice(label == v, mean.above(fov)) for v, mean in enumerate(self.means, 1)]))


def typical(cases: Sequence[Labelled], classes: int) -> list[float]:
    """How far each labelled patient agrees with where the others have their structures (see Usual.agreement)."""
    names, found = list(dict.fromkeys(name for name, _, _ in cases)), []
    for one in names if len(names) > 1 else ():
        others = Usual.of([case for case in cases if case[0] != one], classes)
        found.append(float(np.mean([others.agreement(label, fov) for name, label, fov in cases if name == one])))
    return found


def likelihood(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Framed masks of several cases → how likely each place belongs to the structure, float32 (CELLS, CELLS, CELLS)."""
    mean = ndimage.gaussian_filter(np.mean(masks, axis=0), SPREAD * CELLS)
    return np.clip(mean, FLOOR, 1).astype(np.float32)


def _box(fov: np.ndarray) -> tuple[slice, ...]:
    found = np.argwhere(fov)
    return tuple(slice(low, high + 1) for low, high in zip(found.min(0), found.max(0)))
