"""Mmd: deep features of both domains with the same distribution, as several Gaussian kernels see it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.feature_sampling import sample_features
from xmed.tasks import Segmentation

KERNEL_SCALES = tuple(2.0**k for k in range(-3, 2))
"""Kernel widths as multiples of the mean squared distance: the five of the authors' successors (TLLib)."""


class MaximumMeanDiscrepancy(Method):
    """Maximum mean discrepancy of the deepest features, class-balanced by prediction.

    weight: of the discrepancy.
    """

    cite: ClassVar[str] = (
        "Long et al., Learning transferable features with deep adaptation networks, ICML 2015, arXiv:1502.02791"
    )

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 1.0) -> None:
        super().__init__(net, task)
        self.weight = weight

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        seen = sample_features(self.net, source, target)
        return {
            "supervised": self.task.loss(seen.logits, source.truth, source.fov),
            "mmd": self.weight * squared_mmd(seen.source[0], seen.target[0]),
        }


def squared_mmd(source: Tensor, target: Tensor) -> Tensor:
    """Unbiased squared discrepancy (Gretton et al., JMLR 2012, eq. 3) of (n, d) and (m, d), summed over kernels.

    k(x, y) = exp(−|x − y|² / (2 a D)), D the mean squared distance between all pairs, a constant here.
    """
    n, m = len(source), len(target)
    both_domains = torch.cat([source, target]).double()  # which autocast leaves alone: bfloat16 loses small distances
    length = (both_domains**2).sum(1)
    squared = (length[:, None] + length[None] - 2 * both_domains @ both_domains.T).clamp_min(0)
    mean = squared.detach().sum() / ((n + m) * (n + m - 1))
    kernel = torch.stack([torch.exp(-squared / (2 * scale * mean.clamp_min(1e-6))) for scale in KERNEL_SCALES]).sum(0)
    kernel = kernel * (1 - torch.eye(n + m, device=kernel.device))  # a vector is no evidence about itself
    within = kernel[:n, :n].sum() / max(n * (n - 1), 1) + kernel[n:, n:].sum() / max(m * (m - 1), 1)
    return within - 2 * kernel[:n, n:].mean()
