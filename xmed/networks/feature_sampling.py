"""Sample feature vectors of two domains, inside the field of view only, for alignment methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.networks import CONVOLUTIONS, deepest_block
from xmed.networks.domain_batchnorm import forward_per_domain

VECTORS_PER_DOMAIN = 256
"""Vectors per domain and step: enough for a covariance, few enough for a matrix of distances."""


@dataclass(frozen=True, eq=False)
class DomainFeatures:
    """Logits of the source (b, classes, i, j[, k]), and of each domain its cells: features (n, f), probabilities."""

    logits: Tensor
    source: tuple[Tensor, Tensor]
    target: tuple[Tensor, Tensor]


def feature_width(net: nn.Module) -> int:
    """Length of a cell's feature vector: the channels that the deepest block makes."""
    convolutions = [m for m in deepest_block(net).modules() if isinstance(m, CONVOLUTIONS)]
    return int(convolutions[-1].out_channels)


def sample_features(net: nn.Module, source: Batch, target: Batch, count: int = VECTORS_PER_DOMAIN) -> DomainFeatures:
    """Source and target through the net (see `apart`), and up to `count` cells of the deepest block from each."""
    (ours, seen), (theirs, other) = forward_per_domain(net, source.image, target.image, "deepest")
    return DomainFeatures(
        ours.float(),
        class_balanced_draw(*features_in_view(seen.float(), ours.float(), source.fov), count),
        class_balanced_draw(*features_in_view(other.float(), theirs.float(), target.fov), count),
    )


def features_in_view(seen: Tensor, logits: Tensor, fov: Tensor | None) -> tuple[Tensor, Tensor]:
    """Features (b, f, ...) and logits (b, c, i, j[, k]) → every cell's vector (n, f) and mean probabilities (n, c).

    Only cells of which at least half lies in the field of view; all of them where no cell does.
    """
    p = logits.softmax(1)
    inside = torch.ones_like(p[:, :1]) if fov is None else fov[:, None].to(p.dtype)
    pool: Any = functional.adaptive_avg_pool2d if seen.ndim == 4 else functional.adaptive_avg_pool3d
    space = list(seen.shape[2:])
    share = pool(inside, space)
    mean = pool(p * inside, space) / share.clamp_min(1e-6)
    kept = (share >= 0.5).flatten()
    if not kept.any():
        kept = torch.ones_like(kept)
    return seen.movedim(1, -1).flatten(0, -2)[kept], mean.movedim(1, -1).flatten(0, -2)[kept]


def class_balanced_draw(vectors: Tensor, p: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Up to `count` cells without repetition, every predicted class as likely as any other."""
    predicted = p.detach().argmax(1)
    rarity = 1 / torch.bincount(predicted, minlength=p.shape[1]).clamp_min(1)
    drawn = torch.multinomial(rarity[predicted], min(count, len(p)))
    return vectors[drawn], p[drawn]
