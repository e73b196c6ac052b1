"""Cdan: deep features, given what is predicted from them, from which a critic cannot tell the domain."""

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


class Cdan(Method):
    """Conditional adversarial training on cells of the deepest block: the critic sees feature × prediction.

    weight: of the critic's loss, as in dann. hidden: width of the critic. Cells that the net is sure of weigh up to
    twice (CDAN+E).
    """

    cite: ClassVar[str] = "Long et al., Conditional adversarial domain adaptation, NeurIPS 2018, arXiv:1705.10667"
    of_features: Tensor | None
    of_classes: Tensor | None

    def __init__(self, net: nn.Module, task: Segmentation, weight: float = 1.0, hidden: int = 128) -> None:
        super().__init__(net, task)
        self.weight = weight
        f, c = feature_width(net), task.classes
        drawn = f * c > MAX_PRODUCT
        self.register_buffer("of_features", torch.randn(f, MAX_PRODUCT) if drawn else None)
        self.register_buffer("of_classes", torch.randn(c, MAX_PRODUCT) if drawn else None)
        self.critic = vector_critic(min(f * c, MAX_PRODUCT), hidden)

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        seen, strength = sample_features(self.net, source, target), adaptation_factor(self.progress)
        ours, theirs = (
            self.critic(reverse_gradient(self._joint(*cells), strength)) for cells in (seen.source, seen.target)
        )
        weights = (entropy_weights(p)[:, None] for _, p in (seen.source, seen.target))
        return {
            "supervised": self.task.loss(seen.logits, source.truth, source.fov),
            "domain": self.weight * domain_loss(ours, theirs, *weights),
        }

    def _joint(self, vectors: Tensor, p: Tensor) -> Tensor:
        """Feature × prediction (n, f·c), or its random projection (eq. 6); predictions are not taught through it."""
        if self.of_features is None or self.of_classes is None:
            return (vectors[:, :, None] * p.detach()[:, None]).flatten(1)
        return (vectors @ self.of_features) * (p.detach() @ self.of_classes) / MAX_PRODUCT**0.5


def entropy_weights(p: Tensor) -> Tensor:
    """1 + exp(−H) of probabilities (n, c), H in nats, divided by its mean; no gradient (eq. 8)."""
    p = p.detach()
    weight = 1 + torch.exp((p * p.clamp_min(1e-7).log()).sum(1))
    return weight / weight.mean()
