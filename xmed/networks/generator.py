"""Residual image-to-image network of the translation method CUT, with access to the features of its encoder.

Source: the ResNet generator of Johnson et al. 2016 as used in CUT (Park et al., ECCV 2020), with a quarter of the
widths.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmed.networks import CONVOLUTIONS

NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


class Generator(nn.Module):
    """Map an image (b, 1, i, j[, k]) to an image of the same shape. Every edge must be a multiple of 4 voxels.

    The network predicts a change that is added to the input, and the change is 0 at first: a few hundred steps are too
    few to learn the identity.

    Args:
        dims: 2 or 3.
        width: Channels at full resolution.
        blocks: Number of residual blocks at the coarsest resolution.
    """

    def __init__(self, dims: int, width: int = 16, blocks: int = 4) -> None:
        super().__init__()
        convolution, w = CONVOLUTIONS[dims - 1], width
        self.encoder = nn.ModuleList(
            [
                _layer(dims, 1, w),
                _layer(dims, w, 2 * w, stride=2),
                _layer(dims, 2 * w, 4 * w, stride=2),
                *[_Residual(dims, 4 * w) for _ in range(blocks)],
            ]
        )
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2), _layer(dims, 4 * w, 2 * w), nn.Upsample(scale_factor=2), _layer(dims, 2 * w, w)
        )
        self.last = convolution(w, 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.last.weight)
        self.widths = [w, 2 * w, 4 * w, *[4 * w] * blocks]

    def encoder_features(self, image: Tensor) -> list[Tensor]:
        """Compute the output of every encoder layer.

        Args:
            image: (b, 1, i, j[, k]).

        Returns:
            One tensor (b, widths[n], ...) for each layer.
        """
        layers = [image]
        for layer in self.encoder:
            layers.append(layer(layers[-1]))
        return layers[1:]

    def translate(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Translate an image.

        Args:
            image: (b, 1, i, j[, k]).

        Returns:
            The translated image of the same shape, and the encoder features of the input image.
        """
        features = self.encoder_features(image)
        return image + self.last(self.decoder(features[-1])), features

    def forward(self, image: Tensor) -> Tensor:
        """Translate an image.

        Args:
            image: (b, 1, i, j[, k]).

        Returns:
            The translated image of the same shape.
        """
        return self.translate(image)[0]


def _layer(dims: int, cin: int, cout: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(CONVOLUTIONS[dims - 1](cin, cout, 3, stride, 1), NORMS[dims - 1](cout), nn.ReLU())


class _Residual(nn.Module):
    """Residual block: x + change(x)."""

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _layer(dims, width, width), CONVOLUTIONS[dims - 1](width, width, 3, 1, 1), NORMS[dims - 1](width)
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.change(x)
        return changed


def projection_heads(generator: Generator, size: int = 64) -> nn.ModuleList:
    """Build one two-layer perceptron per encoder layer, which maps the layer's features to vectors.

    The paper uses vectors of 256 values for encoders that are four times as wide.

    Args:
        generator: The generator whose encoder it is.
        size: Length of a vector.

    Returns:
        The perceptrons, in the order of the layers.
    """
    return nn.ModuleList(nn.Sequential(nn.Linear(w, size), nn.ReLU(), nn.Linear(size, size)) for w in generator.widths)


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Return the PatchNCE loss (Park et al. 2020, eq. 3): cross-entropy of recognising the same place among all places.

    Args:
        query: Features of the translated image at n places, (b, n, d); normalised to unit length here.
        key: Features of the input image at the same places, (b, n, d). Treated as constants. The other n − 1 places of
            the same image are the negatives.
        temperature: Divides the cosine similarities.

    Returns:
        Scalar, mean over places and images.
    """
    query, key = nn.functional.normalize(query, dim=2), nn.functional.normalize(key.detach(), dim=2)
    logits = query @ key.transpose(1, 2) / temperature
    own_place = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return nn.functional.cross_entropy(logits.flatten(0, 1), own_place.flatten())
