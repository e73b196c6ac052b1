"""SHOT: the source's classifier is kept, and features of the target move to where it separates them clearly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.methods.method import Domains, Method, Schedule
from xmed.networks import logits_and_features, segmentation_head
from xmed.networks.mean_teacher_model import class_shares, mean_class_shares
from xmed.prepare import Sample
from xmed.tasks import Segmentation


class Shot(Method):
    """Source hypothesis transfer without source images: entropy, class shares and centroid pseudo-labels of the target.

    The segmentation head stays as the source trained it. The diversity term of the paper would make every class fill as
    much of the picture as background does. Here the mean prediction is held to the source's class shares instead.

    Args:
        net: The network.
        task: The segmentation task.
        pseudo: Weight of the pseudo-labels (0.3 in the paper).
        share: Weight of the divergence between the mean prediction and the source's class shares.
    """

    cite: ClassVar[str] = (
        "Liang et al., SHOT, ICML 2020, arXiv:2002.08546; class shares: Bateson et al., Source-relaxed domain "
        "adaptation for segmentation, MICCAI 2020, arXiv:2005.03697"
    )
    schedule: ClassVar[Schedule] = Schedule(start="source_only", steps=0.5, rate=0.1)
    prior: Tensor

    def __init__(self, net: nn.Module, task: Segmentation, pseudo: float = 0.3, share: float = 1.0) -> None:
        super().__init__(net, task)
        self.pseudo, self.share = pseudo, share
        segmentation_head(net).requires_grad_(False)
        self.register_buffer("prior", torch.full((task.classes,), 1 / task.classes))

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Take the class shares from the source; no source image is used."""
        self.prior.copy_(class_shares(domains.source, self.task.classes))
        return domains.source

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return entropy + share · KL(mean prediction ‖ source's shares) + pseudo · loss against centroid labels."""
        del source
        logits, features = logits_and_features(self.net, target.image)
        logits = logits.float()
        in_view = torch.ones(logits.shape[:1] + logits.shape[2:], dtype=torch.bool, device=logits.device)
        in_view = in_view if target.fov is None else target.fov
        if not in_view.any():
            return {"nothing in view": logits.sum() * 0}
        log_p = logits.log_softmax(1).movedim(1, -1)[in_view]
        label = nearest_centroid(features.detach().float().movedim(1, -1)[in_view], log_p.detach().exp())
        return {
            "entropy": -(log_p.exp() * log_p).sum(1).mean(),
            "shares": self.share * kl_divergence(mean_class_shares(logits.softmax(1), in_view), self.prior),
            "pseudo": self.pseudo * functional.nll_loss(log_p, label),
        }


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(p ‖ q) in nats of two distributions over classes, each (c,)."""
    return (p * (p.clamp_min(1e-8) / q.clamp_min(1e-4)).log()).sum()


def nearest_centroid(vectors: Tensor, p: Tensor) -> Tensor:
    """Label feature vectors by the cosine to class centroids, in two rounds (section 3.3 of the paper).

    In the first round centroids are means weighted by the probabilities, in the second means of the vectors with the
    label. A constant 1 is appended to the vectors, as in the reference code. A class that is predicted nowhere gets no
    voxel.

    Args:
        vectors: (n, f).
        p: Probabilities (n, c).

    Returns:
        Labels (n,).
    """
    vectors = functional.normalize(functional.pad(vectors, (0, 1), value=1.0), dim=1)
    weights, predicted = p, torch.bincount(p.argmax(1), minlength=p.shape[1]) > 0
    label = p.argmax(1)
    for _ in range(2):
        centroids = functional.normalize(weights.T @ vectors, dim=1)
        label = (vectors @ centroids.T).masked_fill(~predicted, -math.inf).argmax(1)
        weights = functional.one_hot(label, p.shape[1]).to(vectors.dtype)
    return label
