"""Source-only: supervised on the labelled source; the target is never seen. The lower bound of every gap."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from xmed.batch import Batch
from xmed.methods.method import Method


class SourceOnly(Method):
    """Supervised learning on the source; what a hospital has before it adapts."""

    cite: ClassVar[str] = "Ronneberger et al., U-Net, MICCAI 2015, arXiv:1505.04597"

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss on the source."""
        del target
        return {"supervised": self.task.loss(self.net(source.image), source.reference, source.fov)}
