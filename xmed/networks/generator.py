"""Generator: a small residual network from picture to picture, whose encoder can be asked what it saw.

Source: the ResNet generator of Johnson et al. 2016 as CUT uses it (Park et al., ECCV 2020), a quarter as wide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmed.networks import CONVOLUTIONS

NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


class Generator(nn.Module):
    """Image (b, 1, i, j[, k]) → image of the same shape; every edge must divide by 4.

    What it paints is added to what it was given, and is nothing at first: a few hundred steps are no time to learn to
    copy.
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
        """What every layer of the encoder makes of an image, (b, widths[n], ...) each."""
        seen = [image]
        for layer in self.encoder:
            seen.append(layer(seen[-1]))
        return seen[1:]

    def translate(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The painted image, and the features of the one it was given."""
        seen = self.encoder_features(image)
        return image + self.last(self.decoder(seen[-1])), seen

    def forward(self, image: Tensor) -> Tensor:
        return self.translate(image)[0]


def _layer(dims: int, cin: int, cout: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(CONVOLUTIONS[dims - 1](cin, cout, 3, stride, 1), NORMS[dims - 1](cout), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _layer(dims, width, width), CONVOLUTIONS[dims - 1](width, width, 3, 1, 1), NORMS[dims - 1](width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


def projection_heads(generator: Generator, size: int = 64) -> nn.ModuleList:
    """Per layer of the encoder a two-layer perceptron to `size` features (the paper's 256 for four times the width)."""
    return nn.ModuleList(nn.Sequential(nn.Linear(w, size), nn.ReLU(), nn.Linear(size, size)) for w in generator.widths)


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """PatchNCE (eq. 3): which of the places of the same image is it? query, key (b, n, d), normalised here.

    Keys are constants; the n − 1 other places of the same image are the negatives.
    """
    query, key = nn.functional.normalize(query, dim=2), nn.functional.normalize(key.detach(), dim=2)
    logits = query @ key.transpose(1, 2) / temperature
    own = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return nn.functional.cross_entropy(logits.flatten(0, 1), own.flatten())
