"""DANN: features from which a critic cannot tell the domain."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.adversary import adaptation_factor, domain_loss, reverse_gradient, vector_critic
from xmed.networks.feature_sampling import feature_width, sample_features
from xmed.tasks import Segmentation


class Dann(Method):
    """Domain-adversarial training on vectors of the deepest block, class-balanced by prediction.

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the critic's loss. The network receives its gradient reversed, with a factor that grows from 0
            to 1 over the training.
        hidden: Width of the critic's hidden layers. The paper's 1024 is for features of 4096 values; the vectors here
            have about 100.
    """

    cite: ClassVar[str] = "Ganin et al., Domain-adversarial training of neural networks, JMLR 2016, arXiv:1505.07818"

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 1.0, hidden: int = 128) -> None:
        super().__init__(net, task)
        self.weight = weight
        self.critic = vector_critic(feature_width(net), hidden)

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss + weight · domain loss of the critic, whose gradient is reversed for the network."""
        strength = adaptation_factor(self.progress)
        drawn = sample_features(self.net, source, target, self.random)
        source_verdict, target_verdict = (
            self.critic(reverse_gradient(vectors, strength)) for vectors, _ in (drawn.source, drawn.target)
        )
        return {
            "supervised": self.task.loss(drawn.logits, source.reference, source.fov),
            "domain": self.weight * domain_loss(source_verdict, target_verdict),
        }
