"""Detect whether adapting to one volume has made a network lose the foreground that it predicted before."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmed.batch import Batch

VANISHED_SHARE = 0.25
"""The foreground counts as vanished below this share of its former size. Entropy and consistency losses do not notice
that: both are low for an empty prediction.
"""


@torch.no_grad()
def foreground_voxels(net: nn.Module, batch: Batch) -> Tensor:
    """Count the voxels in view that the network, in evaluation mode, predicts as foreground.

    Args:
        net: Maps images to logits. Its training mode is restored afterwards.
        batch: Patches with their field of view, which may be None.

    Returns:
        Number of voxels, scalar int64.
    """
    was_training = net.training
    label = net.eval()(batch.image).argmax(1)
    net.train(was_training)
    count: Tensor = ((label > 0) if batch.fov is None else (label > 0) & batch.fov).sum()
    return count


def foreground_vanished(before: Tensor, after: Tensor) -> bool:
    """Tell whether the foreground of the same patches shrank below `VANISHED_SHARE` between two counts.

    Args:
        before: Number of foreground voxels before the adaptation, scalar.
        after: The number after it, scalar.

    Returns:
        Whether it did.
    """
    return bool(after < VANISHED_SHARE * before)
