"""Deep CORAL: features of both domains with the same covariance."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.feature_sampling import sample_features
from xmed.tasks import Segmentation


class Coral(Method):
    """Correlation alignment of the deepest features, class-balanced by prediction.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the distance between the covariances. The paper wants both losses to be of the same size at
            the end. Divided by 4 d² the distance is tiny: with weight 1 it ended at 1e-4 to 4e-4 on images of discs (d
            = 48), so 1 has no effect.
    """

    cite: ClassVar[str] = "Sun & Saenko, Deep CORAL, ECCV workshops 2016, arXiv:1607.01719"

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 100.0) -> None:
        super().__init__(net, task)
        self.weight = weight

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss + weight · distance of the covariances."""
        drawn = sample_features(self.net, source, target, self.random)
        return {
            "supervised": self.task.loss(drawn.logits, source.reference, source.fov),
            "coral": self.weight * coral_distance(drawn.source[0], drawn.target[0]),
        }


def coral_distance(source: Tensor, target: Tensor) -> Tensor:
    """Return ‖C_s − C_t‖²_F / (4 d²) (eq. 1), C the unbiased covariance. Means do not count.

    Args:
        source: Vectors (n, d).
        target: Vectors (m, d).
    """
    return ((_covariance(source) - _covariance(target)) ** 2).sum() / (4 * source.shape[1] ** 2)


def _covariance(vectors: Tensor) -> Tensor:
    centred = (vectors - vectors.mean(0)).double()  # in float64, which autocast leaves alone
    return centred.T @ centred / max(len(vectors) - 1, 1)
