"""Segmentation: one of several structures, or background, in every voxel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from xmed.networks.distributed import sum_over_ranks


@dataclass(frozen=True)
class Segmentation:
    """names: the structures, values 1, 2, ... largest_component: keep one connected piece of each."""

    names: tuple[str, ...]
    largest_component: bool = False

    @property
    def classes(self) -> int:
        return len(self.names) + 1

    def loss(self, logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy + soft Dice of the structures present, scalar.

        logits (b, c, i, j[, k]); label int64 (b, i, j[, k]); weight in [0, 1] of the label's shape, 0 where nothing is
        known. The Dice term counts the batch as one volume (Drozdzal et al. 2016), so an empty patch teaches too.
        """
        logits = logits.float()
        weight = torch.ones_like(label, dtype=logits.dtype) if weight is None else weight.to(logits.dtype)
        total = sum_over_ranks(weight.sum()).clamp_min(1.0)
        entropy = sum_over_ranks((functional.cross_entropy(logits, label, reduction="none") * weight).sum()) / total
        p = logits.softmax(1)[:, 1:] * weight[:, None]
        truth = functional.one_hot(label, self.classes).movedim(-1, 1)[:, 1:].to(p.dtype) * weight[:, None]
        axes = [0, *range(2, p.ndim)]
        overlap, mass = sum_over_ranks((p * truth).sum(axes)), sum_over_ranks(p.sum(axes) + truth.sum(axes))
        return entropy + (1 - (2 * overlap + 1) / (mass + 1)).mean()

    def pseudo_label(self, probabilities: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
        """argmax (b, i, j[, k]) and a weight per voxel: 1 where the winner reaches `confidence`, else 0."""
        best, label = probabilities.max(1)
        return label, (best >= confidence).to(probabilities.dtype)

    def decode(self, probabilities: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """(c, i, j, k) probabilities → uint8 label map (i, j, k).

        places: how likely each structure is at each voxel, (c - 1, i, j, k). With it the one piece that is kept of a
        structure is the one with the greatest sum of probability times that, else the largest.
        """
        label = probabilities.argmax(0).astype(np.uint8)
        if not self.largest_component:
            return label
        if places is None:
            return largest_components(label)
        return one_component(label, lambda value: probabilities[value] * places[value - 1])


def largest_components(label: np.ndarray) -> np.ndarray:
    """`label` (i, j, k), every structure reduced to its largest connected piece (faces, edges and corners touch)."""
    return one_component(label, lambda value: np.ones(label.shape, dtype=np.float32))


def one_component(label: np.ndarray, weight: Callable[[int], np.ndarray]) -> np.ndarray:
    """`label` (i, j, k), of every structure only the connected piece whose sum of `weight(value)` is the greatest."""
    out = np.zeros_like(label)
    for value in np.unique(label[label > 0]):
        pieces, count = ndimage.label(label == value, np.ones((3, 3, 3)))
        mass = ndimage.sum_labels(weight(int(value)), pieces, np.arange(1, count + 1)) if count > 1 else [1.0]
        out[pieces == 1 + int(np.argmax(mass))] = value
    return out
