"""Target-supervised: supervised on target labels that a real adaptation does not have. The upper bound of every gap."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from xmed.batch import Batch
from xmed.methods.method import Method


class TargetSupervised(Method):
    """Supervised learning on labelled target training cases: the ceiling, never deployable."""

    cite: ClassVar[str] = "Ronneberger et al., U-Net, MICCAI 2015, arXiv:1505.04597"
    target_labels: ClassVar[Literal["none", "few", "all"]] = "all"

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss. The loop passes labelled target training cases as `source`."""
        del target
        return {"supervised": self.task.loss(self.net(source.image), source.reference, source.fov)}
