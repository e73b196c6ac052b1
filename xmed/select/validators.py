"""Validators: label-free scores of dense predictions, higher is better, each blind to something another one sees.

On voxels the validators of classification mislead: soft neighbourhood density rewards a collapse to background, batch
nuclear norm and raw information maximisation reward over-segmentation, entropy sees neither. Here an absent structure
always scores worst, and how much of it there is must agree with labelled cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmed.tasks.location_prior import mask_overlap

HOPELESS = 10.0
"""A mask this many times larger than every reference has a Dice below 0.19 with all of them: it is called 0."""
REACH = 1 << 16
"""More voxels than any axis has, so that three offsets make one whole number."""


def agreement(a: np.ndarray, b: np.ndarray, classes: int) -> float:
    """Mean Dice over structures 1 ... classes - 1 of two label maps (i, j, k) of one volume."""
    return float(np.mean([mask_overlap(a == v, b == v) for v in range(1, classes)]))


@dataclass(frozen=True)
class Reference:
    """A labelled source case as an atlas: of each structure, the voxels' offsets from the middle of all of them."""

    offsets: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, label: np.ndarray, classes: int) -> Reference:
        """From a label map (i, j, k)."""
        where = np.argwhere(label > 0)
        middle = np.rint(where.mean(0)).astype(int) if len(where) else np.zeros(3, int)
        return cls(tuple(_keys(np.argwhere(label == v) - middle) for v in range(1, classes)))

    @property
    def voxels(self) -> int:
        return sum(len(one) for one in self.offsets)


def reverse(label: np.ndarray, references: Sequence[Reference], classes: int) -> float:
    """Reverse classification accuracy: a predicted mask of the target is the atlas, labelled source cases the judges.

    The prediction is laid onto every reference, middle on middle, and the best mean Dice over structures counts: a
    right segmentation segments at least one case that looks like it (Valindria et al., TMI 2017, arXiv:1702.03407).
    Intensities do not survive a change of modality, so the atlas is carried over by position alone, whereas the paper
    trains a classifier or registers images.
    """
    size = int((label > 0).sum())
    if not size or size > HOPELESS * max(one.voxels for one in references):
        return 0.0
    mine = Reference.of(label, classes)
    return max(_overlap(mine, other) for other in references)


def information(mean: np.ndarray, entropy: np.ndarray, prior: np.ndarray) -> float:
    """Information maximisation against a class prior: - KL(mean ‖ prior) / H(prior) - mean of entropy / log C, <= 0.

    mean (C,): mean probability of each class inside the field of view. entropy (C,): see `entropies`. prior (C,): share
    of each class in labelled cases. Mutual information, H(mean) - H(y | x) (Krause et al., NeurIPS 2010; Liang et al.,
    SHOT, ICML 2020), with the first term replaced by the distance to the prior: its maximum, all classes equally
    frequent, is over-segmentation on voxels. H(prior) makes a rare structure count as a common one does.
    """
    mean, prior = (np.clip(q, 1e-6, None) / np.clip(q, 1e-6, None).sum() for q in (mean, prior))
    distance = float((mean * np.log(mean / prior)).sum())
    return -distance / float(-(prior * np.log(prior)).sum()) - float(entropy.mean()) / float(np.log(len(prior)))


def entropies(p: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """(C,): mean entropy of the voxels that each class wins, of p (C, i, j, k) inside `fov`; log C where it wins none.

    Every class weighs the same, however few its voxels: background would drown all others.
    """
    seen = np.clip(p[:, fov], 1e-6, 1)
    each, won = -(seen * np.log(seen)).sum(0), seen.argmax(0)
    count = np.bincount(won, minlength=len(p))
    return np.where(count > 0, np.bincount(won, each, len(p)) / np.maximum(count, 1), np.log(len(p)))


def _keys(offsets: np.ndarray) -> np.ndarray:
    shifted = offsets.astype(np.int64) + REACH // 2
    return (shifted[:, 0] * REACH + shifted[:, 1]) * REACH + shifted[:, 2]


def _overlap(a: Reference, b: Reference) -> float:
    both = [(one, other) for one, other in zip(a.offsets, b.offsets) if len(one) or len(other)]
    shared = [len(np.intersect1d(one, other, assume_unique=True)) for one, other in both]
    return float(np.mean([2 * n / (len(one) + len(other)) for n, (one, other) in zip(shared, both)]))
