"""Histogram matching: source volumes with the intensity histograms of target volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from skimage.exposure import match_histograms
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.errors import XmedError
from xmed.methods.method import Domains, Method
from xmed.prepare import Sample
from xmed.tasks import Segmentation


class Histogram(Method):
    """Every source volume matched to the histograms of random target volumes, supervised on these.

    Args:
        net: The network.
        task: The segmentation task.
        copies: Matched volumes of each source case, each after another target volume where there are enough.
    """

    cite: ClassVar[str] = "Gonzalez & Woods, Digital image processing (histogram specification); Nyul et al., TMI 2000"

    def __init__(self, net: nn.Module, task: Segmentation, copies: int = 3) -> None:
        super().__init__(net, task)
        self.copies = copies

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Return matched copies of every source case.

        Raises:
            XmedError: METHOD_NEEDS for a source of label maps alone.
        """
        if not domains.images:
            raise XmedError(
                "METHOD_NEEDS", "a source of label maps alone", "source images whose histograms can be matched",
                "choose a method that renders: bridge or synth",
            )  # fmt: skip
        random = np.random.default_rng([domains.seed, 11])
        copies = min(self.copies, len(domains.target))
        return domains.hold(
            match_to_target(source, domains.target[n])
            for source in domains.source
            for n in random.choice(len(domains.target), copies, replace=False)
        )

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss on matched source patches."""
        del target
        return {"supervised": self.task.loss(self.net(source.image), source.reference, source.fov)}


def match_to_target(source: Sample, target: Sample) -> Sample:
    """Return `source` with the intensity distribution of `target`, both inside their fields of view."""
    matched = match_histograms(source.image[source.fov], target.image[target.fov]).astype(np.float32)
    image = np.full_like(source.image, matched.min(initial=np.inf) if matched.size else 0)
    image[source.fov] = matched
    return source.with_image(image)
