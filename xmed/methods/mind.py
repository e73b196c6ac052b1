"""MIND: supervised learning on self-similarity descriptors, which mean the same in every modality."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.spec import NetworkSpec


class Mind(Method):
    """A network whose input is MIND descriptors, supervised on the source alone."""

    cite: ClassVar[str] = (
        "Heinrich et al., MIND, MedIA 2012 and SSC, MICCAI 2013; as input: Weihsbach et al., DG-TTA, arXiv:2312.06275"
    )

    @classmethod
    def network(cls, spec: NetworkSpec) -> NetworkSpec:
        """Return the study's network with MIND descriptors as its input."""
        return spec.model_copy(update={"input": "mind"})

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss on the source."""
        del target
        return {"supervised": self.task.loss(self.net(source.image), source.reference, source.fov)}
