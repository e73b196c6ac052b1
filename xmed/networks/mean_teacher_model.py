"""The moving average of a network in training ("teacher"), its predictions on the target, and their alignment."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.networks import named_tensors
from xmed.prepare import Sample

MAX_RAISE = 20.0
"""Largest factor of distribution alignment: a structure that is hardly predicted at all must not be predicted
everywhere.
"""
COUNTED_STEP = 0.4
"""Exponent of one update in counted alignment. A share that is 1.4 times too small is raised twentyfold within fifty
batches.
"""


class Teacher(nn.Module):
    """Exponential moving average of a student's parameters and buffers (Tarvainen & Valpola, NeurIPS 2017).

    Args:
        student: The network that is averaged; the teacher starts as a copy.
        decay: Largest decay. It starts lower, at min(1 − 1/(step + 1), decay), as in DAFormer (Hoyer et al., CVPR
            2022).
        own_statistics: False: the teacher is always in evaluation mode and uses running statistics averaged from the
            student's. True: it normalises target batches by their own statistics, so its running statistics end as
            those of the target alone, as AdaBN (Li et al., arXiv:1603.04779) would give them, while the student's mix
            source and target.
    """

    steps: Tensor

    def __init__(self, student: nn.Module, decay: float, own_statistics: bool = False) -> None:
        super().__init__()
        self.net = copy.deepcopy(student).requires_grad_(False)
        self.decay, self.own_statistics = decay, own_statistics
        self.register_buffer("steps", torch.zeros(()))
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode, else running statistics would move with every batch that the teacher labels.

        Args:
            mode: Not used; torch passes it.

        Returns:
            This module.
        """
        del mode
        return super().train(False)

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Move one step towards the student. Call it after each of the student's optimiser steps.

        Args:
            student: The network that is averaged.
        """
        self.steps += 1
        decay = min(1 - 1 / (float(self.steps) + 1), self.decay)
        # Not state_dict(): it lists tensors of MONAI's U-Net several times, and each would be averaged as often.
        for averaged, current in zip(named_tensors(self.net).values(), named_tensors(student).values()):
            if averaged.dtype.is_floating_point:
                averaged.lerp_(current, 1 - decay)
            else:
                averaged.copy_(current)

    @torch.no_grad()
    def probabilities(self, image: Tensor) -> Tensor:
        """Predict class probabilities.

        Args:
            image: Normalised patches (b, c, i, j[, k]).

        Returns:
            (b, classes, i, j[, k]), float32.
        """
        self.net.train(self.own_statistics)
        p: Tensor = self.net(image).float().softmax(1)
        return p


class DistributionAlignment(nn.Module):
    """Distribution alignment (Berthelot et al., ReMixMatch, ICLR 2020) that only ever raises a structure.

    The result is p · min(max(expected / predicted, 1), 20)^strength, normalised over classes. `expected` is the share
    of a class in labelled volumes, `predicted` the moving average of its predicted share in the target; the factor of
    the background is 1. Nothing is lowered: a target organ may well fill more of a smaller field of view.

    Args:
        classes: Number of classes, background included.
        strength: Exponent; 0 for no alignment.
        counted: Compare the share of voxels that a class wins after alignment, and raise the class step by step until
            it wins as many as expected. A network that is unsure of a structure hardly ever predicts it, even where its
            mean probability is right.
    """

    expected: Tensor
    raised: Tensor

    def __init__(self, classes: int, strength: float, counted: bool = False) -> None:
        super().__init__()
        self.strength, self.counted = strength, counted
        self.register_buffer("raised", torch.ones(classes))
        self.register_buffer("expected", torch.zeros(classes))
        self.register_buffer("found", torch.zeros(classes))

    @property
    def predicted_share(self) -> Tensor:
        """Moving average of the predicted share of each class. The buffer has the name that checkpoints have for it."""
        return self.get_buffer("found")

    def set_expected(self, labelled: Sequence[Sample]) -> None:
        """Take the expected class shares from labelled volumes.

        Args:
            labelled: Labelled samples.
        """
        self.expected.copy_(class_shares(labelled, len(self.expected)))

    def reset(self) -> None:
        """Forget the shares predicted so far, because another network will make the predictions from now on."""
        self.raised.fill_(1)
        self.predicted_share.zero_()

    @torch.no_grad()
    def forward(self, p: Tensor, fov: Tensor | None) -> Tensor:
        """Align probabilities, and update the shares predicted so far.

        Args:
            p: Class probabilities (b, classes, i, j[, k]).
            fov: Field of view, bool (b, i, j[, k]), or None. Only voxels in view count.

        Returns:
            Aligned probabilities of the same shape.
        """
        if self.counted:
            return self._won(p, fov)
        share = mean_class_shares(p, fov)
        predicted = self.predicted_share
        predicted.copy_(torch.where(predicted.sum() > 0, predicted.lerp(share, 0.05), share))
        raised = (self.expected / predicted.clamp_min(1e-4)).clamp(1, MAX_RAISE) ** self.strength
        raised[0] = 1
        return _reweighted(p, raised)

    def _won(self, p: Tensor, fov: Tensor | None) -> Tensor:
        """Align by the factors so far, then update them by the shares that the classes win here."""
        p = _reweighted(p, self.raised)
        won_share = mean_class_shares(functional.one_hot(p.argmax(1), p.shape[1]).movedim(-1, 1).float(), fov)
        missing = (self.expected / won_share.clamp_min(1e-4)).clamp(0.5, 2)
        self.raised.copy_((self.raised * missing ** (self.strength * COUNTED_STEP)).clamp(1, MAX_RAISE))
        self.raised[0] = 1
        return p


def _reweighted(p: Tensor, raised: Tensor) -> Tensor:
    """Multiply each class's probability by its factor, then normalise over classes."""
    p = p * raised.reshape(-1, *[1] * (p.ndim - 2))
    return p / p.sum(1, keepdim=True)


def class_shares(labelled: Sequence[Sample], classes: int) -> Tensor:
    """Return the mean share of the field of view that each class takes in labelled volumes.

    Args:
        labelled: Labelled samples.
        classes: Number of classes, background included.

    Returns:
        (classes,), sum 1.
    """
    shares = [np.bincount(s.reference[s.fov], minlength=classes) / max(int(s.fov.sum()), 1) for s in labelled]
    return torch.from_numpy(np.mean(shares, axis=0)).float()


def mean_class_shares(p: Tensor, fov: Tensor | None) -> Tensor:
    """Return the mean of class probabilities over the field of view.

    Args:
        p: Probabilities (b, classes, i, j[, k]).
        fov: Field of view, bool (b, i, j[, k]), or None for everywhere.

    Returns:
        (classes,).
    """
    voxels = p.movedim(1, -1)
    return (voxels if fov is None else voxels[fov]).reshape(-1, p.shape[1]).mean(0)


def ramp_up(progress: Tensor, over: float = 0.25) -> float:
    """Return exp(−5 (1 − t)²) with t = min(1, progress / over) (Laine & Aila, ICLR 2017, section 2).

    Args:
        progress: Share of the training that is done, scalar in [0, 1].
        over: Share of the training over which the weight grows to 1.

    Returns:
        The weight, in (0, 1].
    """
    return math.exp(-5 * (1 - min(1.0, float(progress) / over)) ** 2)


def class_balanced_mean(values: Tensor, label: Tensor, counted: Tensor) -> Tensor:
    """Return the mean over labels of the mean value in each label: a small organ weighs as much as the background.

    Args:
        values: (b, i, j[, k]).
        label: (b, i, j[, k]).
        counted: Voxels that count, bool (b, i, j[, k]).

    Returns:
        Scalar; 0 where no voxel counts.
    """
    labels = label[counted].unique()  # type: ignore[no-untyped-call]  # torch does not annotate it
    means = [values[counted & (label == value)].mean() for value in labels]
    return torch.stack(means).mean() if means else values.sum() * 0
