"""Patches: random crops of Samples, augmented as whole batches of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xmed.batch import Batch
from xmed.prepare.augmentation import Augmentation
from xmed.prepare.sample import Layer, Sample
from xmed.spec import GridSpec

MARGIN = 1.25
"""Crops are larger than the patch by this factor, so that the corners of a rotated patch contain anatomy."""


class SamplerState(TypedDict):
    """State of a sampler's random generators, as a checkpoint stores it."""

    random: Mapping[str, object]  # of NumPy's generator, in NumPy's own words
    generator: Tensor  # of torch's generator


@dataclass(frozen=True, eq=False)
class Drawn:
    """The random numbers of one batch.

    Attributes:
        places: For each patch the index of a sample, and the voxel at the centre of its crop.
        matrices: Affine maps (b, dims, dims + 1) in half-widths of the patch.
        level: Standard deviation of the noise (b, 1, ...).
        gain: Standard normal numbers (b, 1, ...).
        offset: Standard normal numbers (b, 1, ...).
        noise: Standard normal numbers (b, channels, i, j[, k]).
    """

    places: list[tuple[int, np.ndarray]]
    matrices: Tensor
    level: Tensor
    gain: Tensor
    offset: Tensor
    noise: Tensor


class Batches(Protocol):
    """An endless iterator of batches, whose state can be kept: a Sampler, or one that works in the background."""

    @property
    def spec(self) -> GridSpec:
        """Patch size, spacing and number of neighbouring slices."""

    def __next__(self) -> Batch: ...

    def state(self) -> SamplerState:
        """Read the state of the random generators after the last batch.

        Returns:
            The state, for `restore`.
        """

    def restore(self, state: SamplerState) -> None:
        """Continue from an earlier state.

        Args:
            state: What `state` returned.
        """


class Sampler:
    """An endless iterator of Batches from Samples.

    Args:
        samples: The samples that patches are drawn from.
        spec: Patch size, spacing and number of neighbouring slices.
        size: Patches per batch.
        augmentation: The largest random changes.
        seed: Seed of all random numbers.
        foreground: Share of patches centred on a labelled voxel. The others, and all patches of unlabelled samples,
            are centred anywhere in the field of view.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        spec: GridSpec,
        size: int,
        augmentation: Augmentation,
        seed: int,
        foreground: float = 0.6,
    ) -> None:
        self.spec, self.size, self.augmentation, self.foreground = spec, size, augmentation, foreground
        self.random = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)
        # Images on a `fit` grid have no known scale: their voxels count as cubes.
        self.spacing = (1.0, 1.0, 1.0) if spec.fit or not spec.spacing_mm else spec.spacing_mm
        self.crop = [n if n == 1 else int(np.ceil(n * MARGIN)) for n in spec.patch]
        self.crop[2] = 1 + 2 * spec.context if spec.spatial_dims == 2 else self.crop[2]
        self.own = slice(None)
        self._fill(samples)

    def share(self, part: int, parts: int) -> None:
        """Make only part number `part` of `parts` equal parts of each batch from now on.

        Every process draws the random numbers of the whole batch, so that the patches are the same for any number of
        parts.

        Args:
            part: Number of the part, from 0.
            parts: How many parts a batch has.
        """
        size = self.size // parts
        self.own = slice(part * size, (part + 1) * size)

    def _fill(self, samples: Sequence[Sample]) -> None:
        self.layers = [sample.layers() for sample in samples]
        self.darkest = [sample.darkest for sample in samples]
        self.labelled = [sample.foreground() for sample in samples]

    def __iter__(self) -> Sampler:
        return self

    def __next__(self) -> Batch:
        return self.make(self.draw())

    def draw(self) -> Drawn:
        """Draw all random numbers of the next batch. No voxel is read but those of the field of view.

        Returns:
            The random numbers, of this sampler's share of the batch.
        """
        places = [self._place() for _ in range(self.size)]
        dims, spec = self.spec.spatial_dims, self.spec
        matrices = self._matrices(self.size, dims, self.augmentation)
        ones = [self.size] + [1] * (dims + 1)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=self.generator)

        level = torch.rand(*ones, generator=self.generator) * self.augmentation.noise
        gain, offset = normal(*ones), normal(*ones)
        noise = normal(self.size, spec.channels, *spec.patch[:dims])
        return Drawn(places[self.own], *(part[self.own] for part in (matrices, level, gain, offset, noise)))

    def make(self, drawn: Drawn, threads: Executor | None = None) -> Batch:
        """Cut, warp and disturb the patches of a batch.

        Args:
            drawn: The random numbers of the batch.
            threads: Makes each patch in one of these threads; the result is the same.

        Returns:
            The batch.
        """
        grid, count = self._sampling_grid(drawn.matrices), len(drawn.places)
        patches = lambda part: self._patches(drawn, grid, part)  # noqa: E731
        parts = [slice(n, n + 1) for n in range(count)] if threads else [slice(0, count)]
        stack = torch.cat(list((threads.map if threads else map)(patches, parts)))
        context = self.spec.channels
        label = stack[:, context + 1].round().long() if stack.shape[1] > context + 1 else None
        return Batch(stack[:, :context], label, stack[:, context] > 0.5, self.spacing)

    def _patches(self, drawn: Drawn, grid: Tensor, part: slice) -> Tensor:
        """Make some patches (b, channels, i, j[, k]): image and neighbouring slices, field of view, label if any."""
        crops = torch.stack([self._crop(*place) for place in drawn.places[part]])
        context, a = self.spec.channels, self.augmentation
        image = functional.grid_sample(crops[:, :context], grid[part], "bilinear", "border", align_corners=False)
        rest = functional.grid_sample(crops[:, context:], grid[part], "nearest", "zeros", align_corners=False)
        image = image * (1 + drawn.gain[part] * a.gain) + drawn.offset[part] * a.offset
        return torch.cat([image + drawn.noise[part] * drawn.level[part], rest], 1)

    def state(self) -> SamplerState:
        """Read the state of the random generators.

        Returns:
            The state, for `restore`.
        """
        return {"random": self.random.bit_generator.state, "generator": self.generator.get_state()}

    def restore(self, state: SamplerState) -> None:
        """Continue from an earlier state.

        Args:
            state: What `state` returned.
        """
        self.random.bit_generator.state = state["random"]
        self.generator.set_state(state["generator"])

    def _place(self) -> tuple[int, np.ndarray]:
        """Draw where a crop comes from: the index of a sample, and the voxel at its centre."""
        n = int(self.random.integers(len(self.layers)))
        image, fov, *_ = self.layers[n]
        if self.labelled[n] and self.random.random() < self.foreground:
            spots = self.labelled[n][int(self.random.integers(len(self.labelled[n])))]  # structures are equally likely
            centre = np.array(np.unravel_index(int(spots[int(self.random.integers(len(spots)))]), image.shape))
        else:
            centre = self._anywhere(fov)
        for axis, (whole, patch) in enumerate(zip(image.shape, self.spec.patch)):
            if patch > 1 and whole <= patch:  # the axis fits: keep all of it, because position is informative
                centre[axis] = whole // 2
        return n, centre

    def _crop(self, n: int, centre: np.ndarray) -> Tensor:
        """One crop (channels, i, j[, k]): image and neighbouring slices, field of view, and the label if any."""
        image, *rest = self.layers[n]
        intensities = self._box(image, centre, self.darkest[n])
        others = torch.stack([self._box(layer, centre, 0).float() for layer in rest])
        if self.spec.spatial_dims == 3:
            return torch.cat([intensities[None], others])
        return torch.cat([intensities.permute(2, 0, 1), others[..., self.spec.context]])

    def _anywhere(self, fov: Layer) -> np.ndarray:
        """Draw a voxel uniformly from the field of view, by drawing from the box until one lies inside."""
        while True:
            centre = self.random.integers(0, fov.shape)
            if fov[tuple(centre)] or not fov.any():
                return centre

    def _box(self, layer: Layer, centre: np.ndarray, beyond: float) -> Tensor:
        """The crop of one layer (i, j, k) around `centre`, filled with `beyond` outside the volume."""
        low = centre - np.array(self.crop) // 2
        high = low + self.crop
        inner = layer[tuple(slice(max(a, 0), b) for a, b in zip(low, high))]
        pads = [(max(-a, 0), max(b - n, 0)) for a, b, n in zip(low, high, layer.shape)]
        return functional.pad(inner, [side for pair in reversed(pads) for side in pair], value=beyond)

    def _sampling_grid(self, matrices: Tensor) -> Tensor:
        """Return where each voxel of each patch lies in its crop, in torch's convention (b, i, j[, k], dims)."""
        dims = self.spec.spatial_dims
        patch = self.spec.patch[:dims]
        shrink = torch.tensor([p / c for p, c in zip(patch, self.crop)])
        matrix = matrices * shrink[None, :, None]  # grid_sample's ±1 is the edge of the crop, not of the patch
        theta = torch.flip(
            torch.cat([matrix[:, :, :dims].flip(2), matrix[:, :, dims:]], 2), dims=[1]
        )  # torch: x is last
        return functional.affine_grid(theta, [len(matrices), 1, *patch], align_corners=False)

    def _matrices(self, count: int, dims: int, a: Augmentation) -> Tensor:
        """Draw affine maps (b, dims, dims + 1) in patch half-widths, axes in the order i, j[, k]."""
        linear = torch.eye(dims).repeat(count, 1, 1)
        planes = [(0, 1)] if dims == 2 else [(0, 1), (0, 2), (1, 2)]
        for p, q in planes:
            angle = self._uniform(count) * a.rotation * (1.0 if (p, q) == (0, 1) else 0.5)
            turn = torch.eye(dims).repeat(count, 1, 1)
            turn[:, p, p] = turn[:, q, q] = angle.cos()
            turn[:, p, q], turn[:, q, p] = -angle.sin(), angle.sin()
            linear = linear @ turn
        whole, along_axes = self._uniform(count, 1, 1), self._uniform(count, dims, 1)
        linear = linear * torch.exp(whole * a.scale) * torch.exp(along_axes * a.scale / 2)
        flips = torch.tensor([1.0 if flip else 0.0 for flip in a.flips[:dims]])
        signs = 1 - 2 * ((torch.rand(count, dims, generator=self.generator) < 0.5) * flips)
        half = torch.tensor(
            [n * mm for n, mm in zip(self.spec.patch[:dims], self.spacing)]
        )  # rotate in mm, not in voxels
        linear = linear * signs[:, None, :] * half[None, None, :] / half[None, :, None]
        return torch.cat([linear, self._uniform(count, dims, 1) * a.shift], 2)

    def _uniform(self, *shape: int) -> Tensor:
        """Draw numbers between -1 and 1."""
        return torch.rand(*shape, generator=self.generator) * 2 - 1
