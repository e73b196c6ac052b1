"""The networks of a translation (generator, critic, segmenter) and the losses that each minimises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.networks import build_network, default_device
from xmed.networks.generator import Generator, patch_nce, projection_heads
from xmed.networks.monai_parts import PatchDiscriminator, sliding_window_inference
from xmed.networks.random_numbers import RandomNumbers, initialised_from
from xmed.prepare import Sample, normalise
from xmed.spec import NetworkSpec

Supervised = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(logits, label, field of view) → scalar loss."""

PATCH_EDGES = {2: 64, 3: 32}  # voxels of a patch
"""Spatial dimensions → edge of a patch in voxels."""


@dataclass(frozen=True)
class TranslationSettings:
    """Settings of a translation's training.

    The paper's learning rate of 2e-4 and its weight 1 of `nce`, and the winners' weight 1 of `edge`, are for 400
    epochs. With a few hundred steps these values would leave the images unchanged.

    Attributes:
        steps: Steps of Adam with momentum 0.5. The learning rate falls linearly over the second half.
        batch: Patches per step.
        rate: Learning rate.
        nce: Weight of the patch contrast.
        segment: Weight of the segmentation loss.
        edge: Weight of the edge loss.
        places: Number of places of an image that are told apart.
        temperature: Of the softmax over these places.
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
    """A generator with its projection heads, a critic of patches, and a network that segments what is generated.

    Args:
        dims: 2 or 3.
        classes: Number of classes, background included.
        supervised: Loss of the segmenter.
        settings: Settings of the training.
        seed: Determines the first weights, and all random numbers of the training after these.
    """

    def __init__(
        self, dims: Literal[2, 3], classes: int, supervised: Supervised, settings: TranslationSettings, seed: int
    ) -> None:
        super().__init__()
        self.dims, self.edge, self.settings, self.supervised = dims, PATCH_EDGES[dims], settings, supervised
        with initialised_from(seed):
            self.generator = Generator(dims)
            self.projections = projection_heads(self.generator)
            self.critic = PatchDiscriminator(dims, 16, 1, num_layers_d=2, norm="INSTANCE")
            self.random = RandomNumbers.after_initialisation(seed)
        self.segmenter = build_network(NetworkSpec(channels=[8, 16, 32]), dims, 1, classes, seed=seed % 2**31)

    def generator_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the generator's losses train: generator, projection heads and segmenter."""
        return [p for m in (self.generator, self.projections, self.segmenter) for p in m.parameters()]

    def generator_losses(
        self, source: Batch, target: Batch, fake: Tensor, source_features: list[Tensor], view: Tensor
    ) -> dict[str, Tensor]:
        """Return what generator, projection heads and segmenter minimise.

        Args:
            source: Labelled source patches.
            target: Target patches.
            fake: Translated source patches (b, 1, i, j[, k]).
            source_features: The encoder's features of the source patches.
            view: 1 where both patches of a pair are in view, (b, 1, i, j[, k]).
        """
        settings, (identity, target_features) = self.settings, self.generator.translate(target.image)
        content = self._patch_contrast(source_features, fake, source.fov)
        content = content + self._patch_contrast(target_features, identity, target.fov)
        losses = {
            "critic": ((self.critic(fake * view)[-1] - 1) ** 2).mean(),
            "content": settings.nce * content / 2,
            "segment": settings.segment * self.supervised(self.segmenter(fake), source.reference, source.fov),
        }
        # Last: the order of the terms decides on the order in which gradients are added up, and so on the last bits.
        edge_change = (edge_strength(fake) - edge_strength(source.image)).abs() * view
        return {**losses, "edge": settings.edge * edge_change.sum() / view.sum().clamp_min(1)}

    def critic_losses(self, target: Batch, fake: Tensor, view: Tensor) -> dict[str, Tensor]:
        """Return what the critic minimises: least squares (Mao et al., LSGAN, ICCV 2017)."""
        real_verdict, fake_verdict = self.critic(target.image * view)[-1], self.critic(fake.detach() * view)[-1]
        return {"told": (((real_verdict - 1) ** 2).mean() + (fake_verdict**2).mean()) / 2}

    def _patch_contrast(self, features: list[Tensor], translated: Tensor, fov: Tensor | None) -> Tensor:
        """Return PatchNCE between an image's features and those of its translation at the same places.

        Mean over the encoder's layers.
        """
        view = torch.ones_like(translated) if fov is None else fov[:, None].to(translated.dtype)
        losses = []
        for before, after, project in zip(features, self.generator.encoder_features(translated), self.projections):
            # Places outside the view are drawn only where there are too few inside.
            inside = functional.interpolate(view, size=after.shape[2:]).flatten(1) + 1e-4
            count, generator = min(self.settings.places, inside.shape[1]), self.random.on(inside.device)
            places = torch.multinomial(inside, count, generator=generator)[:, None]
            vectors = [
                f.flatten(2).gather(2, places.expand(-1, f.shape[1], -1)).transpose(1, 2) for f in (after, before)
            ]
            losses.append(patch_nce(project(vectors[0]), project(vectors[1]), self.settings.temperature))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def translate_volume(self, sample: Sample) -> np.ndarray:
        """Return the translation (i, j, k) of a whole volume, normalised as every image is."""
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
        translated = window.cpu()[:, 0].permute(1, 2, 0) if self.dims == 2 else window.cpu()[0, 0]
        return normalise(translated.numpy(), sample.fov)


def edge_strength(image: Tensor) -> Tensor:
    """Return the gradient magnitude (b, 1, i, j[, k]) by Sobel filters, per voxel; borders are replicated."""
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
