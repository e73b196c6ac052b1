"""Draw feature vectors of both domains, inside the field of view only, for methods that align distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.networks import CONVOLUTIONS, deepest_block
from xmed.networks.domain_batchnorm import forward_per_domain
from xmed.networks.random_numbers import RandomNumbers

VECTORS_PER_DOMAIN = 256
"""Enough for a covariance matrix, few enough for a matrix of all distances."""


@dataclass(frozen=True, eq=False)
class DomainFeatures:
    """Result of one pass of both domains.

    Attributes:
        logits: Of the source, (b, classes, i, j[, k]).
        source: Feature vectors (n, f) and class probabilities (n, classes) at the drawn positions of the source.
        target: The same of the target.
    """

    logits: Tensor
    source: tuple[Tensor, Tensor]
    target: tuple[Tensor, Tensor]


def feature_width(net: nn.Module) -> int:
    """Return the length of a feature vector.

    Args:
        net: A network of `build_network`.

    Returns:
        Number of output channels of the deepest block.
    """
    convolutions = [m for m in deepest_block(net).modules() if isinstance(m, CONVOLUTIONS)]
    return int(convolutions[-1].out_channels)


def sample_features(
    net: nn.Module, source: Batch, target: Batch, random: RandomNumbers, count: int = VECTORS_PER_DOMAIN
) -> DomainFeatures:
    """Pass both domains through the network and draw feature vectors of the deepest block.

    Args:
        net: The network; see `forward_per_domain`.
        source: Labelled batch.
        target: Unlabelled batch.
        random: Draws the vectors.
        count: Maximal number of vectors per domain, drawn class-balanced by prediction.

    Returns:
        Source logits, and the drawn vectors of both domains.
    """
    (source_logits, source_map), (target_logits, target_map) = forward_per_domain(
        net, source.image, target.image, "deepest"
    )
    return DomainFeatures(
        source_logits.float(),
        class_balanced_draw(*features_in_view(source_map.float(), source_logits.float(), source.fov), count, random),
        class_balanced_draw(*features_in_view(target_map.float(), target_logits.float(), target.fov), count, random),
    )


def features_in_view(feature_map: Tensor, logits: Tensor, fov: Tensor | None) -> tuple[Tensor, Tensor]:
    """Flatten a feature map into vectors, with the class probabilities of the region that each vector covers.

    Only positions of which at least half lies in the field of view are kept; all of them where no position does.

    Args:
        feature_map: (b, f, ...) at the resolution of the deepest block.
        logits: (b, c, i, j[, k]) at full resolution.
        fov: Field of view, bool (b, i, j[, k]), or None.

    Returns:
        Vectors (n, f), and the mean probabilities in view of the voxels that each vector covers, (n, c).
    """
    p = logits.softmax(1)
    inside = torch.ones_like(p[:, :1]) if fov is None else fov[:, None].to(p.dtype)
    pool: Any = functional.adaptive_avg_pool2d if feature_map.ndim == 4 else functional.adaptive_avg_pool3d
    space = list(feature_map.shape[2:])
    share = pool(inside, space)
    mean = pool(p * inside, space) / share.clamp_min(1e-6)
    in_view = (share >= 0.5).flatten()
    if not in_view.any():
        in_view = torch.ones_like(in_view)
    return feature_map.movedim(1, -1).flatten(0, -2)[in_view], mean.movedim(1, -1).flatten(0, -2)[in_view]


def class_balanced_draw(vectors: Tensor, p: Tensor, count: int, random: RandomNumbers) -> tuple[Tensor, Tensor]:
    """Draw up to `count` vectors without replacement, every predicted class as likely as any other.

    Args:
        vectors: (n, f).
        p: Class probabilities (n, c).
        count: Maximal number.
        random: Draws the vectors.

    Returns:
        The drawn vectors and their probabilities.
    """
    predicted = p.detach().argmax(1)
    rarity = 1 / torch.bincount(predicted, minlength=p.shape[1]).clamp_min(1)
    drawn = torch.multinomial(rarity[predicted], min(count, len(p)), generator=random.on(p.device))
    return vectors[drawn], p[drawn]
