"""CDAN: features, combined with the prediction made from them, from which a critic cannot tell the domain."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.adversary import adaptation_factor, domain_loss, reverse_gradient, vector_critic
from xmed.networks.feature_sampling import feature_width, sample_features
from xmed.tasks import Segmentation

MAX_PRODUCT = 1024  # entries of the product beyond which it is drawn at random: section 3.2 of the paper uses 4096
"""Largest length of feature × prediction before it is projected at random; section 3.2 of the paper uses 4096."""


class Cdan(Method):
    """Conditional adversarial training on vectors of the deepest block: the critic sees feature × prediction.

    Vectors of which the network is certain weigh up to twice as much (CDAN+E).

    Args:
        net: The network.
        task: The segmentation task.
        weight: Weight of the critic's loss, as in `dann`.
        hidden: Width of the critic's hidden layers.
    """

    cite: ClassVar[str] = "Long et al., Conditional adversarial domain adaptation, NeurIPS 2018, arXiv:1705.10667"
    of_features: Tensor | None
    of_classes: Tensor | None

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 1.0, hidden: int = 128) -> None:
        super().__init__(net, task)
        self.weight = weight
        f, c = feature_width(net), task.classes
        projected = f * c > MAX_PRODUCT
        self.register_buffer("of_features", torch.randn(f, MAX_PRODUCT) if projected else None)
        self.register_buffer("of_classes", torch.randn(c, MAX_PRODUCT) if projected else None)
        self.critic = vector_critic(min(f * c, MAX_PRODUCT), hidden)

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return supervised loss + weight · domain loss of the critic, whose gradient is reversed for the network."""
        strength = adaptation_factor(self.progress)
        drawn = sample_features(self.net, source, target, self.random)
        source_verdict, target_verdict = (
            self.critic(reverse_gradient(self._joint(*vectors), strength)) for vectors in (drawn.source, drawn.target)
        )
        weights = (entropy_weights(p)[:, None] for _, p in (drawn.source, drawn.target))
        return {
            "supervised": self.task.loss(drawn.logits, source.reference, source.fov),
            "domain": self.weight * domain_loss(source_verdict, target_verdict, *weights),
        }

    def _joint(self, vectors: Tensor, p: Tensor) -> Tensor:
        """Return feature × prediction (n, f·c), or its random projection (eq. 6); no gradient to the prediction."""
        if self.of_features is None or self.of_classes is None:
            return (vectors[:, :, None] * p.detach()[:, None]).flatten(1)
        projected: Tensor = (vectors @ self.of_features) * (p.detach() @ self.of_classes) / MAX_PRODUCT**0.5
        return projected


def entropy_weights(p: Tensor) -> Tensor:
    """Return 1 + exp(−H) for each row, divided by the mean over rows (eq. 8), without gradient.

    Args:
        p: Probabilities (n, c). H is their entropy in nats.
    """
    p = p.detach()
    weight = 1 + torch.exp((p * p.clamp_min(1e-7).log()).sum(1))
    return weight / weight.mean()
