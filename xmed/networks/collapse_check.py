"""Collapse check: whether adapting to one volume has made a net lose what it saw in it before."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmed.batch import Batch

VANISHED_SHARE = 0.25
"""A foreground that shrinks below this share of itself has vanished: entropy and consistency alike cannot see that."""


@torch.no_grad()
def foreground_voxels(net: nn.Module, batch: Batch) -> Tensor:
    """Number of voxels in view that the net, in evaluation mode, calls foreground; the net's mode stays as it was."""
    mode = net.training
    label = net.eval()(batch.image).argmax(1)
    net.train(mode)
    return ((label > 0) if batch.fov is None else (label > 0) & batch.fov).sum()


def foreground_vanished(before: Tensor, after: Tensor) -> bool:
    """Whether the foreground of the same patches has been lost between two counts."""
    return bool(after < VANISHED_SHARE * before)
