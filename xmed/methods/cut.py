"""Cut: the source translated into pictures like the target's, and supervised learning from those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Domains, Method
from xmed.networks import segmentation_head
from xmed.prepare import Sample, normalise
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.rendering.field_of_view_pose import pose_anatomy
from xmed.rendering.translation import TranslationSettings, translate
from xmed.tasks import Segmentation


class Cut(Method):
    """Unpaired translation by patch-wise contrast that keeps edges and structures, then supervision on its pictures.

    pool: views that are cut out of the source where the target is seen by a probe, each through another target's field
    of view; a tomograph's source stays whole. steps, batch, rate, nce, segment, edge: of the translation (see
    xmed.translate). Its pictures stay in the training's folder, under `translated`.
    """

    cite: ClassVar[str] = (
        "Park et al., CUT, ECCV 2020, arXiv:2007.15651; with segmentation and edges: Dorent et al., CrossMoDA, Medical "
        "Image Analysis 2023, arXiv:2201.02831, and the 2023 winners' code"
    )

    def __init__(
        self,
        net: nn.Module,
        task: Segmentation,
        pool: int = 60,
        steps: int = 300,
        batch: int = 4,
        rate: float = 1e-3,
        nce: float = 0.1,
        segment: float = 0.5,
        edge: float = 0.1,
    ) -> None:
        super().__init__(net, task)
        self.pool = pool
        self.recipe = TranslationSettings(steps, batch, rate, nce, segment, edge)

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        source: Sequence[Sample] = domains.source
        dims: Literal[2, 3] = 2 if segmentation_head(self.net).weight.ndim == 4 else 3
        if domains.target_modality in PROBE_MODALITIES:
            source = posed_views(self.pool, domains)
        folder = domains.folder and domains.folder / "translated"
        return translate(
            source, domains.target, dims, self.task.classes, self.task.loss, self.recipe, domains.seed, folder
        )

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """`source` holds patches of the translated pictures."""
        del target
        return {"supervised": self.task.loss(self.net(source.image), source.truth, source.fov)}


def posed_views(count: int, domains: Domains) -> list[Sample]:
    """The source cases in turn as a probe would be held to them, each through the field of view of a random target."""
    random = np.random.default_rng([domains.seed, 23])
    out = []
    for n in range(count):
        source = domains.source[n % len(domains.source)]
        through = domains.target[int(random.integers(len(domains.target)))]
        held = pose_anatomy(source, through, domains.target_modality, random)
        out.append(Sample(source.case, normalise(held.image, held.fov), held.fov, through.grid, held.label))
    return out
