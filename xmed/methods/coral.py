"""Coral: deep features of both domains with the same covariance."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.feature_sampling import sample_features
from xmed.tasks import Segmentation


class Coral(Method):
    """Correlation alignment of the deepest features, class-balanced by prediction.

    weight: of the distance between the covariances. The paper wants both losses of one size at the end; divided by
    4 d² it is tiny (at weight 1 it ends at 1e-4 to 4e-4, on discs drawn for the purpose, d = 48), so 1 does nothing.
    """

    cite: ClassVar[str] = "Sun & Saenko, Deep CORAL, ECCV workshops 2016, arXiv:1607.01719"

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 100.0) -> None:
        super().__init__(net, task)
        self.weight = weight

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        seen = sample_features(self.net, source, target)
        return {
            "supervised": self.task.loss(seen.logits, source.truth, source.fov),
            "coral": self.weight * coral_distance(seen.source[0], seen.target[0]),
        }


def coral_distance(source: Tensor, target: Tensor) -> Tensor:
    """‖C_s − C_t‖²_F / (4 d²) of vectors (n, d) and (m, d), C the unbiased covariance; means do not count (eq. 1)."""
    return ((_covariance(source) - _covariance(target)) ** 2).sum() / (4 * source.shape[1] ** 2)


def _covariance(vectors: Tensor) -> Tensor:
    centred = (vectors - vectors.mean(0)).double()  # which autocast leaves alone
    return centred.T @ centred / max(len(vectors) - 1, 1)
