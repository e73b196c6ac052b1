"""Where in the field of view a structure usually lies, from label maps alone.

A position is expressed relative to the bounding box of the field of view, so cases of any size can be compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from scipy import ndimage

from xmed.prepare import Sample
from xmed.prepare.geometry import resize

CELLS = 32
"""Cells per edge of the common frame in which masks are averaged: the bounding box of the field of view, of any
size.
"""
BLUR_SHARE, MIN_LIKELIHOOD = 0.04, 0.01
"""A few masks are a coarse sample of where a structure may be. So their mean is blurred by this share of the box, and
no position gets a likelihood below `MIN_LIKELIHOOD`.
"""
MIN_SHARED_AGREEMENT = 0.5
"""Where labelled cases agree with each other less than this (Dice), positions say little about where a structure should
be found.
"""
LabelledCase = tuple[str, np.ndarray, np.ndarray]
"""Name, label map (i, j, k) and field of view (i, j, k) of a labelled case."""


@dataclass(frozen=True)
class LabelledCases(Sequence[LabelledCase]):
    """Labelled samples as labelled cases; each is read when it is asked for.

    Attributes:
        samples: The samples.
    """

    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> LabelledCase: ...

    @overload
    def __getitem__(self, index: slice) -> LabelledCases: ...

    def __getitem__(self, index: int | slice) -> LabelledCase | LabelledCases:
        if isinstance(index, slice):
            return LabelledCases(self.samples[index])
        sample = self.samples[index]
        return sample.case, sample.reference, sample.fov


def mask_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice of two masks; 0 for two empty ones, or a collapsed model would look perfectly stable.

    Args:
        a: Bool (i, j, k).
        b: Bool of the same shape.

    Returns:
        Dice, 0 to 1.
    """
    mass = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / mass if mass else 0.0


def to_box_frame(mask: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """Resample a mask from its field of view's bounding box to the common frame.

    Args:
        mask: Bool (i, j, k).
        fov: Field of view, bool (i, j, k).

    Returns:
        Float32 (CELLS, CELLS, CELLS).
    """
    return resize(mask[_bounding_box(fov)].astype(np.float32), (CELLS,) * 3)


def from_box_frame(atlas: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """Resample a map of the common frame to the bounding box of a field of view.

    Args:
        atlas: (CELLS, CELLS, CELLS).
        fov: Field of view, bool (i, j, k).

    Returns:
        Float32 (i, j, k); 0 outside the field of view.
    """
    whole = np.zeros(fov.shape, dtype=np.float32)
    box = _bounding_box(fov)
    whole[box] = resize(atlas, whole[box].shape)
    return np.where(fov, whole, 0)


@dataclass(frozen=True, eq=False)
class MeanMask:
    """Where one structure lies in labelled cases.

    Attributes:
        atlas: Mean of the masks in the common frame, (CELLS, CELLS, CELLS).
        share: Mean share of the field of view that the structure takes.
    """

    atlas: np.ndarray
    share: float

    @classmethod
    def of(cls, masks: Iterable[np.ndarray], fovs: Iterable[np.ndarray]) -> MeanMask:
        """Average masks. One mask is in memory at a time where they are made one after the other.

        Args:
            masks: Bool masks (i, j, k).
            fovs: The field of view of each, bool (i, j, k).

        Returns:
            The mean mask, and the mean share of the field of view.
        """
        return cls.mean([cls(to_box_frame(mask, fov), mask.sum() / fov.sum()) for mask, fov in zip(masks, fovs)])

    @classmethod
    def mean(cls, masks: Sequence[MeanMask]) -> MeanMask:
        """Average the mean masks of single cases.

        Args:
            masks: One for each case.

        Returns:
            Their mean.
        """
        return cls(np.mean([each.atlas for each in masks], axis=0), float(np.mean([each.share for each in masks])))

    def mask_in(self, fov: np.ndarray, cut: float | None = None) -> np.ndarray:
        """Lay the structure into a field of view.

        Args:
            fov: Field of view, bool (i, j, k).
            cut: Threshold of the mean mask; by default such that the mask has the expected size.

        Returns:
            The structure's mask, bool (i, j, k).
        """
        mean_mask = from_box_frame(self.atlas, fov)
        return mean_mask > max(float(np.quantile(mean_mask[fov], 1 - self.share)) if cut is None else cut, 1e-6)


@dataclass(frozen=True, eq=False)
class LocationPrior:
    """Where labelled cases have structures 1, 2, ...

    Attributes:
        means: The mean mask of each structure.
    """

    means: tuple[MeanMask, ...]

    @classmethod
    def of(cls, cases: Iterable[LabelledCase], classes: int) -> LocationPrior:
        """Average the masks of labelled cases. One case is in memory at a time where they are read one after the other.

        Args:
            cases: Labelled cases.
            classes: Number of classes, background included.

        Returns:
            The mean mask of each structure.
        """
        return cls.mean([cls.of_case(label, fov, classes) for _, label, fov in cases])

    @classmethod
    def of_case(cls, label: np.ndarray, fov: np.ndarray, classes: int) -> LocationPrior:
        """Bring the masks of one labelled case into the common frame.

        Args:
            label: Label map (i, j, k).
            fov: Field of view, bool (i, j, k).
            classes: Number of classes, background included.

        Returns:
            The mask of each structure.
        """
        return cls(tuple(MeanMask.of([label == v], [fov]) for v in range(1, classes)))

    @classmethod
    def mean(cls, cases: Sequence[LocationPrior]) -> LocationPrior:
        """Average the masks of single cases.

        Args:
            cases: What `of_case` returned for each.

        Returns:
            The mean mask of each structure.
        """
        return cls(tuple(MeanMask.mean(masks) for masks in zip(*(case.means for case in cases))))

    def agreement(self, label: np.ndarray, fov: np.ndarray) -> float:
        """Compare a label map with the mean masks.

        Args:
            label: Label map (i, j, k).
            fov: Field of view, bool (i, j, k).

        Returns:
            Dice, 0 to 1, mean over structures.
        """
        return float(np.mean([mask_overlap(label == v, mean.mask_in(fov)) for v, mean in enumerate(self.means, 1)]))


def leave_one_out_agreement(cases: Sequence[LabelledCase], classes: int) -> list[float]:
    """Compare each labelled patient with the prior of all other patients.

    Args:
        cases: Labelled cases.
        classes: Number of classes, background included.

    Returns:
        The agreement of each patient, 0 to 1; empty for a single patient.
    """
    single = [(name, LocationPrior.of_case(label, fov, classes)) for name, label, fov in cases]
    if len({name for name, _ in single}) < 2:
        return []
    agreements: dict[str, list[float]] = defaultdict(list)
    for name, label, fov in cases:
        others = LocationPrior.mean([prior for other, prior in single if other != name])
        agreements[name].append(others.agreement(label, fov))
    return [float(np.mean(each)) for each in agreements.values()]


def location_likelihood(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return how likely each position belongs to a structure.

    Args:
        masks: Masks of the structure in the common frame (see `to_box_frame`).

    Returns:
        Float32 (CELLS, CELLS, CELLS), from `MIN_LIKELIHOOD` to 1.
    """
    mean = ndimage.gaussian_filter(np.mean(masks, axis=0), BLUR_SHARE * CELLS)
    likelihood: np.ndarray = np.clip(mean, MIN_LIKELIHOOD, 1).astype(np.float32)
    return likelihood


def _bounding_box(fov: np.ndarray) -> tuple[slice, ...]:
    """Return the slices of a field of view's bounding box."""
    indices = np.argwhere(fov)
    return tuple(slice(low, high + 1) for low, high in zip(indices.min(0), indices.max(0)))
