"""Dann: deep features from which a critic cannot tell the domain."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.adversary import adaptation_factor, domain_loss, reverse_gradient, vector_critic
from xmed.networks.feature_sampling import feature_width, sample_features
from xmed.tasks import Segmentation


class Dann(Method):
    """Domain-adversarial training on cells of the deepest block, class-balanced by prediction.

    weight: of the critic's loss; the net feels it reversed, growing from 0 to 1 over the training. hidden: width of the
    critic (the paper's 1024 is for features of 4096; cells here have about 100).
    """

    cite: ClassVar[str] = "Ganin et al., Domain-adversarial training of neural networks, JMLR 2016, arXiv:1505.07818"

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 1.0, hidden: int = 128) -> None:
        super().__init__(net, task)
        self.weight = weight
        self.critic = vector_critic(feature_width(net), hidden)

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        seen, strength = sample_features(self.net, source, target), adaptation_factor(self.progress)
        ours, theirs = (self.critic(reverse_gradient(vectors, strength)) for vectors, _ in (seen.source, seen.target))
        return {
            "supervised": self.task.loss(seen.logits, source.truth, source.fov),
            "domain": self.weight * domain_loss(ours, theirs),
        }
