"""Position: where in the field of view a structure usually lies, from label maps alone.

A voxel's place is its share of the way through the field of view's bounding box, so that cases of any size compare.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CELLS = 32
"""Cells per edge of the frame in which masks are averaged: the field of view's box, whatever its size."""
SPREAD, FLOOR = 0.04, 0.01
"""A few masks are a coarse sample of where a structure may be: their mean is blurred by this share of the box, and no
place is ruled out."""
SURE, STEPS = 1e-4, 20
"""No net is surer than this that a structure is not there; and the weights of a pool that are tried, in twentieths."""
TELLING = 0.5
"""A place that labelled cases share to less than half says little, and to be pulled there is to lose what was seen."""
Labelled = tuple[str, np.ndarray, np.ndarray]
"""The name, label map and field of view (i, j, k) of a labelled case."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks; two empty ones agree on nothing, or a collapsed model would look perfectly stable."""
    mass = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / mass if mass else 0.0


def framed(mask: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """A mask (i, j, k) inside its field of view's box, float32 (CELLS, CELLS, CELLS)."""
    return _resize(mask[_box(fov)].astype(np.float32), (CELLS,) * 3)


def placed(atlas: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """A framed map laid into the box of a field of view (i, j, k), float32; 0 outside the field."""
    out = np.zeros(fov.shape, dtype=np.float32)
    where = _box(fov)
    out[where] = _resize(atlas, out[where].shape)
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
    """Where labelled cases have their structures, and how usual a place a prediction must lie in.

    means: of structure 1, 2, ... least: a prediction that agrees less with them is pulled towards them until it does.
    """

    means: tuple[MeanMask, ...]
    least: float = 0.0

    @classmethod
    def of(cls, cases: Sequence[Labelled], classes: int) -> Usual:
        fovs = [fov for _, _, fov in cases]
        return cls(tuple(MeanMask.of([label == v for _, label, _ in cases], fovs) for v in range(1, classes)))

    @classmethod
    def kept(cls, atlas: np.ndarray, shares: Sequence[float], least: float) -> Usual:
        """As `atlas`, `shares` and `least` have kept it. Raises ValueError unless there is a share for each mask."""
        return cls(tuple(MeanMask(mean, float(share)) for mean, share in zip(atlas, shares, strict=True)), least)

    @property
    def atlas(self) -> np.ndarray:
        """The mean masks, float32 (structures, CELLS, CELLS, CELLS)."""
        return np.stack([mean.atlas for mean in self.means]).astype(np.float32)

    @property
    def shares(self) -> list[float]:
        return [mean.share for mean in self.means]

    def agreement(self, label: np.ndarray, fov: np.ndarray) -> float:
        """Dice of a label map (i, j, k) with the mean masks, mean over structures."""
        return float(np.mean([dice(label == v, mean.above(fov)) for v, mean in enumerate(self.means, 1)]))

    def pulled(
        self, p: np.ndarray, fov: np.ndarray, decode: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, float]:
        """Probabilities (classes, i, j, k) pulled no further than they must be, and how far: 0 not at all, 1 wholly.

        The logarithmic opinion pool p^(1 - w) · q^w (Genest & Zidek, Statistical Science 1986) with the mean masks q,
        at the least weight with which the label map that `decode(p, fov)` makes of it agrees with them as it must.
        Where nothing was found nothing is drawn: that a prediction is empty is worth more to its reader than a guess.
        """
        label = decode(p, fov)
        if not label.any() or self.agreement(label, fov) >= self.least:
            return p, 0.0
        usual = np.stack([placed(likelihood([mean.atlas]), fov) for mean in self.means])
        log_q = np.log(np.clip(np.concatenate([1 - usual.sum(0, keepdims=True), usual]), FLOOR, 1))
        log_p = np.log(np.clip(p, SURE, 1))

        def pool(step: int) -> np.ndarray:
            mixed = np.exp(log_p + step / STEPS * (log_q - log_p))
            return np.where(fov, mixed / mixed.sum(0), p)

        def agrees(step: int) -> bool:
            return self.agreement(decode(pool(step), fov), fov) >= self.least

        step = 1 + bisect_left(range(1, STEPS), True, key=agrees)  # the more weight, the better it agrees
        return pool(step), step / STEPS


def typical(cases: Sequence[Labelled], classes: int) -> list[float]:
    """How far each labelled patient agrees with where the others have their structures (see Usual.agreement)."""
    names, found = list(dict.fromkeys(name for name, _, _ in cases)), []
    for one in names if len(names) > 1 else ():
        others = Usual.of([case for case in cases if case[0] != one], classes)
        found.append(float(np.mean([others.agreement(label, fov) for name, label, fov in cases if name == one])))
    return found


def least_agreement(labelled: Sequence[float], found: Sequence[float]) -> float:
    """To what the lowest of `found` must be raised for their mean to be that of `labelled`.

    0 where it is so already: then predictions lie where structures usually do, and none is to be touched. 0, too, where
    labelled cases have no usual place (see TELLING). Both are agreements (see Usual), of labelled patients and of a
    model's predictions of unlabelled ones.
    """
    if not labelled or not found or np.mean(labelled) < TELLING or np.mean(found) >= np.mean(labelled):
        return 0.0
    goal, low = float(np.mean(labelled)), sorted(found)
    raised = ((goal * len(low) - sum(low[n:])) / n for n in range(1, len(low) + 1))  # of the n lowest, all to one level
    return next(level for n, level in enumerate(raised, 1) if n == len(low) or level <= low[n])


def likelihood(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Framed masks of several cases → how likely each place belongs to the structure, float32 (CELLS, CELLS, CELLS)."""
    mean = ndimage.gaussian_filter(np.mean(masks, axis=0), SPREAD * CELLS)
    return np.clip(mean, FLOOR, 1).astype(np.float32)


def _box(fov: np.ndarray) -> tuple[slice, ...]:
    found = np.argwhere(fov)
    return tuple(slice(low, high + 1) for low, high in zip(found.min(0), found.max(0)))


def _resize(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear resampling of a box to another number of voxels, edges on edges."""
    ratio = np.array(array.shape) / np.array(shape)
    return ndimage.affine_transform(array, ratio, (ratio - 1) / 2, shape, order=1, mode="nearest")
