"""Adversarial pair: a generator that paints, a critic, a net that segments what is painted, and what each minimises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import PatchDiscriminator
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.networks import build_network, default_device
from xmed.networks.generator import Generator, patch_nce, projection_heads
from xmed.prepare import Sample, normalise
from xmed.spec import NetworkSpec

Supervised = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(logits, label, field of view) → scalar."""

PATCH_EDGES = {2: 64, 3: 32}  # voxels of a patch


@dataclass(frozen=True)
class TranslationSettings:
    """steps, batch, rate: of Adam with momentum 0.5; the rate falls linearly over the second half. nce, segment, edge:
    weights. places: of an image that are told apart, at a temperature. The rate of 2e-4, the weight 1 of nce (paper)
    and of edge (winners) are for 400 epochs: in a few hundred steps everything would stay as it is.
    """

    steps: int = 300
    batch: int = 4
    rate: float = 1e-3
    nce: float = 0.1
    segment: float = 0.5
    edge: float = 0.1
    places: int = 256
    temperature: float = 0.07


class Translator(nn.Module):
    """The players: a generator with its projections, a critic of patches, and a net that segments what is painted."""

    def __init__(self, dims: Literal[2, 3], classes: int, supervised: Supervised, recipe: TranslationSettings) -> None:
        super().__init__()
        self.dims, self.edge, self.recipe, self.supervised = dims, PATCH_EDGES[dims], recipe, supervised
        self.generator = Generator(dims)
        self.projections = projection_heads(self.generator)
        self.critic = PatchDiscriminator(dims, 16, 1, num_layers_d=2, norm="INSTANCE")
        self.segmenter = build_network(
            NetworkSpec(channels=[8, 16, 32]), dims, 1, classes, seed=int(torch.initial_seed() % 2**31)
        )

    def generator_parameters(self) -> list[nn.Parameter]:
        return [p for m in (self.generator, self.projections, self.segmenter) for p in m.parameters()]

    def generator_losses(self, x: Batch, y: Batch, fake: Tensor, seen: list[Tensor], view: Tensor) -> dict[str, Tensor]:
        """What generator, projections and segmenter minimise; `seen`: the encoder's features of the source."""
        (again, of_target), r = self.generator.translate(y.image), self.recipe
        content = self._patch_contrast(seen, fake, x.fov) + self._patch_contrast(of_target, again, y.fov)
        return {
            "critic": ((self.critic(fake * view)[-1] - 1) ** 2).mean(),
            "content": r.nce * content / 2,
            "segment": r.segment * self.supervised(self.segmenter(fake), x.truth, x.fov),
            "edge": r.edge
            * ((edge_strength(fake) - edge_strength(x.image)).abs() * view).sum()
            / view.sum().clamp_min(1),
        }

    def critic_losses(self, y: Batch, fake: Tensor, view: Tensor) -> dict[str, Tensor]:
        """What the critic minimises: least squares (Mao et al., LSGAN, ICCV 2017)."""
        real, painted = self.critic(y.image * view)[-1], self.critic(fake.detach() * view)[-1]
        return {"told": (((real - 1) ** 2).mean() + (painted**2).mean()) / 2}

    def _patch_contrast(self, features: list[Tensor], painted: Tensor, fov: Tensor | None) -> Tensor:
        """PatchNCE between an image's `features` and those of its painting at the same places, all layers alike."""
        view = torch.ones_like(painted) if fov is None else fov[:, None].to(painted.dtype)
        losses = []
        for was, now, project in zip(features, self.generator.encoder_features(painted), self.projections):
            inside = functional.interpolate(view, size=now.shape[2:]).flatten(1) + 1e-4  # elsewhere only when it must
            spots = torch.multinomial(inside, min(self.recipe.places, inside.shape[1]))[:, None]
            chosen = [f.flatten(2).gather(2, spots.expand(-1, f.shape[1], -1)).transpose(1, 2) for f in (now, was)]
            losses.append(patch_nce(project(chosen[0]), project(chosen[1]), self.recipe.temperature))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def translate_volume(self, sample: Sample) -> np.ndarray:
        """The picture (i, j, k) of a whole volume, normalised as every image is."""
        image = torch.from_numpy(sample.image)
        stack = image.permute(2, 0, 1)[:, None] if self.dims == 2 else image[None, None]
        window: Any = sliding_window_inference(
            stack.to(default_device()),
            [self.edge] * self.dims,
            16,
            self.generator.eval(),
            0.5,
            "gaussian",
            cval=float(image.min()),
        )
        out = window.cpu()[:, 0].permute(1, 2, 0) if self.dims == 2 else window.cpu()[0, 0]
        return normalise(out.numpy(), sample.fov)


def edge_strength(image: Tensor) -> Tensor:
    """Gradient magnitude (b, 1, i, j[, k]) by Sobel filters, per voxel; borders replicated."""
    dims = image.ndim - 2
    convolve = functional.conv2d if dims == 2 else functional.conv3d
    padded = functional.pad(image, [1] * (2 * dims), mode="replicate")
    total = torch.full_like(image, 1e-6)
    for along in range(dims):
        kernel = torch.ones([1] * dims, device=image.device)
        for axis in range(dims):
            taps = torch.tensor([-0.5, 0, 0.5] if axis == along else [0.25, 0.5, 0.25], device=image.device)
            kernel = kernel * taps.reshape([3 if n == axis else 1 for n in range(dims)])
        total = total + convolve(padded, kernel[None, None]) ** 2
    return total.sqrt()
