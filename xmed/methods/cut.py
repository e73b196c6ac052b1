"""CUT: source images are translated so that they look like target images; supervised learning on the translations."""

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

    The translations are kept in the folder of the training, under `translated`.

    Args:
        net: The network.
        task: The segmentation task.
        pool: Number of views cut out of the source where the target is imaged by a probe, each through the field of
            view of another target case. The source of a tomograph stays whole.
        steps: Steps of the translation's training. For this and the next five see `TranslationSettings`.
        batch: Patches per step.
        rate: Learning rate.
        nce: Weight of the patch contrast.
        segment: Weight of the segmentation loss.
        edge: Weight of the edge loss.
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
        self.translation = TranslationSettings(steps, batch, rate, nce, segment, edge)

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Return the translated source cases, or translated views of them where the target is imaged by a probe."""
        source: Sequence[Sample] = domains.source
        dims: Literal[2, 3] = 2 if segmentation_head(self.net).weight.ndim == 4 else 3
        if domains.target_modality in PROBE_MODALITIES:
            source = posed_views(self.pool, domains)
        folder = domains.folder and domains.folder / "translated"
        return translate(
            source, domains.target, dims, self.task.classes, self.task.loss, self.translation, domains.seed, folder
        )

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss; `source` holds patches of the translated pictures."""
        del target
        return {"supervised": self.task.loss(self.net(source.image), source.reference, source.fov)}


def posed_views(count: int, domains: Domains) -> list[Sample]:
    """Return the source cases in turn as a probe would see them.

    Each is seen through the field of view of a random target case.
    """
    random = np.random.default_rng([domains.seed, 23])
    views = []
    for n in range(count):
        source = domains.source[n % len(domains.source)]
        target = domains.target[int(random.integers(len(domains.target)))]
        anatomy = pose_anatomy(source, target, domains.target_modality, random)
        image = normalise(anatomy.image, anatomy.fov)
        views.append(Sample(source.case, image, anatomy.fov, target.grid, anatomy.label))
    return views
