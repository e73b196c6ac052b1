"""Synth: random appearances of no modality, drawn anew for every labelled structure, replace the source images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Domains, Method
from xmed.prepare import Sample, normalise
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.rendering.field_of_view_pose import pose_anatomy
from xmed.rendering.randomise import render
from xmed.tasks import Segmentation


class Synth(Method):
    """Label-conditioned random appearances of the source, in the target scanner's pose; supervised on these.

    Args:
        net: The network.
        task: The segmentation task.
        pool: Number of volumes, drawn once before the training from the source cases in turn.
    """

    cite: ClassVar[str] = "Billot et al., SynthSeg, Medical Image Analysis 2023, arXiv:2107.09559"
    favoured_by_validator: ClassVar[str | None] = "proxy"

    def __init__(self, net: nn.Module, task: Segmentation, pool: int = 120) -> None:
        super().__init__(net, task)
        self.pool = pool

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Return `pool` random appearances of the source cases, each in the pose of a random target case."""
        random = np.random.default_rng([domains.seed, 13])
        targets = (domains.target[int(random.integers(len(domains.target)))] for _ in range(self.pool))
        return domains.hold(
            random_appearance(domains.source[n % len(domains.source)], target, domains.target_modality, random)
            for n, target in enumerate(targets)
        )

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss on random appearances."""
        del target
        return {"supervised": self.task.loss(self.net(source.image), source.reference, source.fov)}


def random_appearance(source: Sample, target: Sample, modality: str, random: np.random.Generator) -> Sample:
    """Return one random appearance of a labelled case.

    It lies on the target's grid where `modality` is imaged with a probe, else on the source's own grid.
    """
    anatomy = pose_anatomy(source, target, modality, random)
    grid = target.grid if modality in PROBE_MODALITIES else source.grid
    return Sample(source.case, normalise(render(anatomy, random), anatomy.fov), anatomy.fov, grid, anatomy.label)
