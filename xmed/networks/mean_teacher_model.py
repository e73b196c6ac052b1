"""The moving average of a network in training, its predictions on the target, and their confidence."""

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
"""Of distribution alignment: a structure that is hardly seen at all must not be seen everywhere."""
COUNTED_STEP = 0.4
"""Of counted alignment, per batch: a share found 1.4 times too small raises twentyfold within fifty batches."""


class Teacher(nn.Module):
    """Exponential moving average of a student's parameters *and* buffers (Tarvainen & Valpola, NeurIPS 2017).

    decay: at most; it starts lower, min(1 − 1/(step + 1), decay), as in DAFormer (Hoyer et al., CVPR 2022). By default
    always in evaluation mode, or its running statistics would move with whatever it labels. With `own_statistics` they
    are to do just that: it normalises target batches by their own statistics and so ends with the target's, as AdaBN
    (Li et al., arXiv:1603.04779) would give it; the student's are those of source and target mixed.
    """

    steps: Tensor

    def __init__(self, student: nn.Module, decay: float, own_statistics: bool = False) -> None:
        super().__init__()
        self.net = copy.deepcopy(student).requires_grad_(False)
        self.decay, self.own_statistics = decay, own_statistics
        self.register_buffer("steps", torch.zeros(()))
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        del mode
        return super().train(False)

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """One step towards the student, after each of its own."""
        self.steps += 1
        decay = min(1 - 1 / (float(self.steps) + 1), self.decay)
        # Not state_dict(): MONAI's U-Net lists a tensor under several names, and would be averaged as often.
        for ours, theirs in zip(named_tensors(self.net).values(), named_tensors(student).values()):
            if ours.dtype.is_floating_point:
                ours.lerp_(theirs, 1 - decay)
            else:
                ours.copy_(theirs)

    @torch.no_grad()
    def probabilities(self, image: Tensor) -> Tensor:
        """Image (b, c, i, j[, k]) → probabilities (b, classes, i, j[, k]), float32."""
        self.net.train(self.own_statistics)
        return self.net(image).float().softmax(1)


class DistributionAlignment(nn.Module):
    """Distribution alignment (Berthelot et al., ReMixMatch, ICLR 2020) that only ever raises a structure.

    p · (expected / found)^strength, then normalised. `expected` is the share of a class in labelled volumes, `found`
    its moving average in the target. Never downwards: a target organ may well fill more of a smaller field of view.
    counted: what is found is the share of voxels that a class wins once raised, and it is raised step by step until it
    wins as many as expected. A net unsure of a structure hardly ever calls it, however right its mean probability.
    """

    expected: Tensor
    found: Tensor
    raised: Tensor

    def __init__(self, classes: int, strength: float, counted: bool = False) -> None:
        super().__init__()
        self.strength, self.counted = strength, counted
        self.register_buffer("raised", torch.ones(classes))
        self.register_buffer("expected", torch.zeros(classes))
        self.register_buffer("found", torch.zeros(classes))

    def set_expected(self, labelled: Sequence[Sample]) -> None:
        """Learn the classes' shares from labelled volumes."""
        self.expected.copy_(class_shares(labelled, len(self.expected)))

    def reset(self) -> None:
        """What was found so far: another net is about to look."""
        self.raised.fill_(1)
        self.found.zero_()

    @torch.no_grad()
    def forward(self, p: Tensor, fov: Tensor | None) -> Tensor:
        if self.counted:
            return self._won(p, fov)
        share = mean_class_shares(p, fov)
        self.found.copy_(torch.where(self.found.sum() > 0, self.found.lerp(share, 0.05), share))
        raised = (self.expected / self.found.clamp_min(1e-4)).clamp(1, MAX_RAISE) ** self.strength
        raised[0] = 1
        return _reweighted(p, raised)

    def _won(self, p: Tensor, fov: Tensor | None) -> Tensor:
        """Raised as far as the batches before have asked for; notes what this one asks for."""
        p = _reweighted(p, self.raised)
        found = mean_class_shares(functional.one_hot(p.argmax(1), p.shape[1]).movedim(-1, 1).float(), fov)
        missing = (self.expected / found.clamp_min(1e-4)).clamp(0.5, 2)
        self.raised.copy_((self.raised * missing ** (self.strength * COUNTED_STEP)).clamp(1, MAX_RAISE))
        self.raised[0] = 1
        return p


def _reweighted(p: Tensor, raised: Tensor) -> Tensor:
    p = p * raised.reshape(-1, *[1] * (p.ndim - 2))
    return p / p.sum(1, keepdim=True)


def class_shares(labelled: Sequence[Sample], classes: int) -> Tensor:
    """Mean share of the field of view that each class takes of a labelled volume, (classes,), sums to 1."""
    shares = [np.bincount(s.truth[s.fov], minlength=classes) / max(int(s.fov.sum()), 1) for s in labelled]
    return torch.from_numpy(np.mean(shares, axis=0)).float()


def mean_class_shares(p: Tensor, fov: Tensor | None) -> Tensor:
    """Mean of probabilities (b, classes, i, j[, k]) over the field of view, (classes,)."""
    voxels = p.movedim(1, -1)
    return (voxels if fov is None else voxels[fov]).reshape(-1, p.shape[1]).mean(0)


def ramp_up(progress: Tensor, over: float = 0.25) -> float:
    """exp(−5 (1 − t)²), t from 0 to 1 over a first share of the training (Laine & Aila, ICLR 2017, section 2)."""
    return math.exp(-5 * (1 - min(1.0, float(progress) / over)) ** 2)


def class_balanced_mean(each: Tensor, label: Tensor, counted: Tensor) -> Tensor:
    """Mean of `each` over the counted voxels of every label, then over labels: a small organ counts like background.

    each, label, counted (bool): (b, i, j[, k]). 0 where nothing is counted.
    """
    found = label[counted].unique()
    means = [each[counted & (label == value)].mean() for value in found]
    return torch.stack(means).mean() if means else each.sum() * 0
