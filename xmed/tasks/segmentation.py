"""Segmentation: one of several structures, or background, in every voxel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Segmentation:
    """The task of segmenting named structures.

    Attributes:
        names: The structures, with label values 1, 2, ...
        largest_component: Keep one connected component of each structure.
        sum_over_batch: Adds up a quantity of one batch over all devices that share the batch. By default one device has
            the whole batch. The loop of a distributed training passes the sum over its ranks.
    """

    names: tuple[str, ...]
    largest_component: bool = False
    sum_over_batch: Callable[[Tensor], Tensor] = field(default=_unchanged, repr=False, compare=False)

    @property
    def classes(self) -> int:
        """Return the number of classes, background included."""
        return len(self.names) + 1

    def loss(self, logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return cross-entropy + soft Dice loss of the structures.

        Both terms are weighted by voxel. Cross-entropy is the weighted mean over voxels. The Dice loss is the mean over
        structures of 1 − (2 Σ p y + 1) / (Σ p + Σ y + 1), with sums over the whole batch as if it were one volume
        (Drozdzal et al. 2016), so patches without the structure also contribute.

        Args:
            logits: (b, c, i, j[, k]).
            label: int64 (b, i, j[, k]).
            weight: In [0, 1], of the label's shape; 0 where nothing is known. None for 1 everywhere.

        Returns:
            Scalar.
        """
        logits = logits.float()
        weight = torch.ones_like(label, dtype=logits.dtype) if weight is None else weight.to(logits.dtype)
        total = self.sum_over_batch(weight.sum()).clamp_min(1.0)
        cross_entropy = (
            self.sum_over_batch((functional.cross_entropy(logits, label, reduction="none") * weight).sum()) / total
        )
        p = logits.softmax(1)[:, 1:] * weight[:, None]
        reference = functional.one_hot(label, self.classes).movedim(-1, 1)[:, 1:].to(p.dtype) * weight[:, None]
        axes = [0, *range(2, p.ndim)]
        overlap, mass = (
            self.sum_over_batch((p * reference).sum(axes)),
            self.sum_over_batch(p.sum(axes) + reference.sum(axes)),
        )
        return cross_entropy + (1 - (2 * overlap + 1) / (mass + 1)).mean()

    def pseudo_label(self, probabilities: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
        """Label voxels by their most probable class.

        Args:
            probabilities: (b, c, i, j[, k]).
            confidence: Probability that a voxel's class needs.

        Returns:
            Labels int64, and weights: 1 where the class reaches `confidence`, else 0; both (b, i, j[, k]).
        """
        best, label = probabilities.max(1)
        return label, (best >= confidence).to(probabilities.dtype)

    def decode(self, probabilities: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Convert probabilities to a label map.

        Args:
            probabilities: (c, i, j, k).
            places: How likely each structure is at each voxel, (c − 1, i, j, k). With it, the component that is kept of
                a structure is the one with the greatest sum of probability times this likelihood; without it, the
                largest one.

        Returns:
            uint8 (i, j, k).
        """
        label: np.ndarray = probabilities.argmax(0).astype(np.uint8)
        if not self.largest_component:
            return label
        if places is None:
            return largest_components(label)
        return one_component(label, lambda value, box: probabilities[value][box] * places[value - 1][box])


def largest_components(label: np.ndarray) -> np.ndarray:
    """Reduce every structure to its largest connected component (26 neighbours).

    Args:
        label: Label map (i, j, k).

    Returns:
        A label map of the same shape.
    """
    return one_component(label, lambda value, box: np.ones(label[box].shape, dtype=np.float32))


def one_component(label: np.ndarray, weight: Callable[[int, tuple[slice, ...]], np.ndarray]) -> np.ndarray:
    """Reduce every structure to one connected component (26 neighbours).

    Args:
        label: Label map (i, j, k), uint8.
        weight: Label value and box → weight of each voxel in the box. The component with the greatest sum of weights is
            kept.

    Returns:
        A label map of the same shape.
    """
    reduced = np.zeros_like(label)
    for value, box in enumerate(ndimage.find_objects(label), start=1):
        if box is None:
            continue
        components, count = ndimage.label(label[box] == value, np.ones((3, 3, 3)))
        mass = ndimage.sum_labels(weight(value, box), components, np.arange(1, count + 1)) if count > 1 else [1.0]
        reduced[box][components == 1 + int(np.argmax(mass))] = value
    return reduced
