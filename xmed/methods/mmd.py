"""MMD: features of both domains with the same distribution, measured by several Gaussian kernels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.feature_sampling import sample_features
from xmed.tasks import Segmentation

KERNEL_SCALES = tuple(2.0**k for k in range(-3, 2))
"""Kernel widths as multiples of the mean squared distance: the five of the library TLLib."""


class MaximumMeanDiscrepancy(Method):
    """Maximum mean discrepancy of the deepest features, class-balanced by prediction.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the discrepancy.
    """

    cite: ClassVar[str] = (
        "Long et al., Learning transferable features with deep adaptation networks, ICML 2015, arXiv:1502.02791"
    )

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 1.0) -> None:
        super().__init__(net, task)
        self.weight = weight

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss + weight · squared discrepancy."""
        drawn = sample_features(self.net, source, target, self.random)
        return {
            "supervised": self.task.loss(drawn.logits, source.reference, source.fov),
            "mmd": self.weight * squared_mmd(drawn.source[0], drawn.target[0]),
        }


def squared_mmd(source: Tensor, target: Tensor) -> Tensor:
    """Return the unbiased squared discrepancy (Gretton et al., JMLR 2012, eq. 3), summed over kernels.

    k(x, y) = exp(−|x − y|² / (2 a D)) for each scale a; D is the mean squared distance between all pairs, a constant.

    Args:
        source: Vectors (n, d).
        target: Vectors (m, d).
    """
    n, m = len(source), len(target)
    both_domains = torch.cat([source, target]).double()  # autocast leaves float64 alone; bfloat16 loses small distances
    length = (both_domains**2).sum(1)
    squared = (length[:, None] + length[None] - 2 * both_domains @ both_domains.T).clamp_min(0)
    mean = squared.detach().sum() / ((n + m) * (n + m - 1))
    kernel = torch.stack([torch.exp(-squared / (2 * scale * mean.clamp_min(1e-6))) for scale in KERNEL_SCALES]).sum(0)
    kernel = kernel * (1 - torch.eye(n + m, device=kernel.device))  # pairs of a vector with itself do not count
    within = kernel[:n, :n].sum() / max(n * (n - 1), 1) + kernel[n:, n:].sum() / max(m * (m - 1), 1)
    return within - 2 * kernel[:n, n:].mean()
