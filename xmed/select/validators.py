"""Label-free scores of dense predictions, and the checks that a candidate must pass.

The validators of classification mislead on voxels: soft neighbourhood density rewards a collapse to background, batch
nuclear norm and plain information maximisation reward over-segmentation, entropy detects neither. Here an absent
structure always scores worst, and its amount must agree with labelled cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmed.records.selection import CheckedLimit
from xmed.tasks.location_prior import mask_overlap

MAX_SIZE_RATIO = 10.0
"""A mask this many times larger than every atlas has a Dice below 0.19 with all of them; its score is 0."""
KEY_BASE = 1 << 16
"""More voxels than any axis has, so three offsets fit into one whole number."""
CONSISTENCY_DROP = 0.12
"""Largest allowed drop of consistency. On phantoms of other seeds self-training raised mean Dice by 0.01 to 0.10 in
five of six runs, while consistency fell by 0.06 and 0.11 in two of these five (LOG.md). A collapse loses most of it. A
limit of 0.02 held good models back.
"""
EMPTY_SHARE = 0.34
"""Largest allowed share of target volumes without the structure, or as many as with the compared model where that is
more.
"""
PRIOR_FACTOR = 2.0
"""Factor by which a median volume may lie outside the range of labelled source cases, on either side."""


def mean_overlap(a: np.ndarray, b: np.ndarray, classes: int) -> float:
    """Return the mean Dice over structures 1 ... classes − 1 of two label maps (i, j, k) of one volume."""
    return float(np.mean([mask_overlap(a == v, b == v) for v in range(1, classes)]))


@dataclass(frozen=True)
class Atlas:
    """A labelled source case as an atlas: per structure, the voxels' offsets from the centre of the foreground."""

    offsets: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, label: np.ndarray, classes: int) -> Atlas:
        """Make an atlas from a label map (i, j, k)."""
        where = np.argwhere(label > 0)
        middle = np.rint(where.mean(0)).astype(int) if len(where) else np.zeros(3, int)
        return cls(tuple(_keys(np.argwhere(label == v) - middle) for v in range(1, classes)))

    @property
    def voxels(self) -> int:
        """Return the number of foreground voxels."""
        return sum(len(offsets) for offsets in self.offsets)


def reverse_accuracy(label: np.ndarray, references: Sequence[Atlas], classes: int) -> float:
    """Return the reverse classification accuracy of a prediction (Valindria et al., TMI 2017, arXiv:1702.03407).

    The prediction is used as the atlas for labelled source cases: it is laid onto each of them, centre on centre, and
    the best mean Dice over structures counts. A correct segmentation segments at least one similar case. Intensities do
    not carry over to another modality, so only positions are used, whereas the paper trains a classifier or registers
    images.

    Args:
        label: Predicted label map (i, j, k).
        references: Labelled source cases.
        classes: Number of classes, background included.
    """
    size = int((label > 0).sum())
    if not size or size > MAX_SIZE_RATIO * max(atlas.voxels for atlas in references):
        return 0.0
    prediction = Atlas.of(label, classes)
    return max(_overlap(prediction, reference) for reference in references)


def information(mean: np.ndarray, entropy: np.ndarray, prior: np.ndarray) -> float:
    """Return −KL(mean ‖ prior) / H(prior) − mean of entropy / log C, which is ≤ 0.

    This is mutual information, H(mean) − H(y | x) (Krause et al., NeurIPS 2010; Liang et al., SHOT, ICML 2020), with
    the first term replaced by the distance to the prior: its maximum, all classes equally frequent, would be
    over-segmentation on voxels. Division by H(prior) makes a rare structure count as a common one does.

    Args:
        mean: Mean probability of each class in the field of view, (C,).
        entropy: See `entropies`, (C,).
        prior: Share of each class in labelled cases, (C,).
    """
    mean, prior = (np.clip(q, 1e-6, None) / np.clip(q, 1e-6, None).sum() for q in (mean, prior))
    distance = float((mean * np.log(mean / prior)).sum())
    return -distance / float(-(prior * np.log(prior)).sum()) - float(entropy.mean()) / float(np.log(len(prior)))


def entropies(p: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """Return for each class the mean entropy of the voxels that it wins, log C where it wins none; (C,).

    Every class weighs the same, however few voxels it has; the background would dominate all others.

    Args:
        p: Probabilities (C, i, j, k).
        fov: Field of view, bool (i, j, k).
    """
    seen = np.clip(p[:, fov], 1e-6, 1)
    each, won = -(seen * np.log(seen)).sum(0), seen.argmax(0)
    count = np.bincount(won, minlength=len(p))
    return np.where(count > 0, np.bincount(won, each, len(p)) / np.maximum(count, 1), np.log(len(p)))


def _keys(offsets: np.ndarray) -> np.ndarray:
    shifted = offsets.astype(np.int64) + KEY_BASE // 2
    return (shifted[:, 0] * KEY_BASE + shifted[:, 1]) * KEY_BASE + shifted[:, 2]


def _overlap(a: Atlas, b: Atlas) -> float:
    pairs = [(first, second) for first, second in zip(a.offsets, b.offsets) if len(first) or len(second)]
    shared = [len(np.intersect1d(first, second, assume_unique=True)) for first, second in pairs]
    return float(np.mean([2 * n / (len(first) + len(second)) for n, (first, second) in zip(shared, pairs)]))


def at_least(value: float, limit: float) -> CheckedLimit:
    """Check that a value is at least `limit`."""
    return CheckedLimit(value=value, limit=limit, ok=bool(value >= limit))


def at_most(value: float, limit: float) -> CheckedLimit:
    """Check that a value is at most `limit`."""
    return CheckedLimit(value=value, limit=limit, ok=bool(value <= limit))


def of_structures(
    empty: Sequence[float], volume_ml: Sequence[float], first: Sequence[float], source_ml: Sequence[Sequence[float]]
) -> dict[str, CheckedLimit]:
    """Check that no structure vanishes or grows far too large.

    Args:
        empty: Per structure, share of target volumes in which it is not predicted.
        volume_ml: Per structure, median predicted volume in ml.
        first: `empty` of the model that is compared with.
        source_ml: Per structure, its volumes in ml in labelled source cases.
    """
    out = {}
    for n, labelled_ml in enumerate(source_ml):
        low, high, ml = min(labelled_ml) / PRIOR_FACTOR, max(labelled_ml) * PRIOR_FACTOR, volume_ml[n]
        out[f"empty_share_{n + 1}"] = at_most(empty[n], max(EMPTY_SHARE, first[n]))
        out[f"volume_ml_{n + 1}"] = at_most(ml, high) if ml > high else at_least(ml, low)
    return out
