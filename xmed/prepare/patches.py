"""Patches: random crops of Samples, augmented as whole batches of tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xmed.batch import Batch
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.prepare.sample import Layer, Sample
from xmed.spec import GridSpec

MARGIN = 1.25
"""Crops are larger than the patch by this factor, so that the corners of a rotated patch contain anatomy."""


@dataclass(frozen=True)
class Augmentation:
    """The largest random changes of a patch.

    Attributes:
        rotation: Angle in radians, in the plane of i and j; half of it in the other planes.
        scale: Logarithm of the scale factor.
        shift: Shift as a share of the patch's half-width.
        flips: Whether the patch may be mirrored along i, j, k.
        gain: Standard deviation of the relative intensity gain.
        offset: Standard deviation of the intensity offset, in units of the normalised intensity.
        noise: Largest standard deviation of Gaussian noise, in units of the normalised intensity.
    """

    rotation: float = 0.5
    scale: float = 0.2
    shift: float = 0.15
    flips: tuple[bool, bool, bool] = (True, True, True)
    gain: float = 0.2
    offset: float = 0.2
    noise: float = 0.1


def augmentation_for(modality: str, structures: Sequence[str]) -> Augmentation:
    """The augmentation that keeps images of a modality plausible and the names of structures correct.

    Ultrasound is never flipped in depth, because attenuation and shadows have a direction. Nothing is mirrored if a
    structure's name contains left or right.
    """
    sided = any({"left", "right"} & set(re.split(r"[\W_]+", name.lower())) for name in structures)
    if modality in PROBE_MODALITIES:
        return Augmentation(rotation=0.3, scale=0.25, shift=0.2, flips=(not sided, False, not sided))
    return Augmentation(flips=(not sided, True, True))


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
        places = [self._place() for _ in range(self.size)][self.own]
        stack = self._warp(torch.stack([self._crop(*place) for place in places]))
        context = self.spec.channels
        image, fov = self._disturb(stack[:, :context]), stack[:, context] > 0.5
        label = stack[:, context + 1].round().long() if stack.shape[1] > context + 1 else None
        return Batch(image, label, fov, self.spacing)

    def state(self) -> dict:
        """The state of the random generators, for `restore`."""
        return {"random": self.random.bit_generator.state, "generator": self.generator.get_state()}

    def restore(self, state: dict) -> None:
        """Continue from a state that `state` returned."""
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

    def _warp(self, stack: Tensor) -> Tensor:
        """Apply random affine maps to crops (b, c, i, j[, k]): linear for images, nearest for the other layers."""
        dims, context, a = self.spec.spatial_dims, self.spec.channels, self.augmentation
        patch = self.spec.patch[:dims]
        matrix = self._matrices(self.size, dims, a)[self.own]
        shrink = torch.tensor([p / c for p, c in zip(patch, stack.shape[2:])])
        matrix = matrix * shrink[None, :, None]  # grid_sample's ±1 is the edge of the crop, not of the patch
        theta = torch.flip(
            torch.cat([matrix[:, :, :dims].flip(2), matrix[:, :, dims:]], 2), dims=[1]
        )  # torch: x is last
        grid = functional.affine_grid(theta, [len(stack), 1, *patch], align_corners=False)
        image = functional.grid_sample(stack[:, :context], grid, "bilinear", "border", align_corners=False)
        rest = functional.grid_sample(stack[:, context:], grid, "nearest", "zeros", align_corners=False)
        return torch.cat([image, rest], 1)

    def _matrices(self, count: int, dims: int, a: Augmentation) -> Tensor:
        """Draw affine maps (b, dims, dims + 1) in patch half-widths, axes in the order i, j[, k]."""
        uniform = lambda *shape: torch.rand(*shape, generator=self.generator) * 2 - 1  # noqa: E731
        linear = torch.eye(dims).repeat(count, 1, 1)
        planes = [(0, 1)] if dims == 2 else [(0, 1), (0, 2), (1, 2)]
        for p, q in planes:
            angle = uniform(count) * a.rotation * (1.0 if (p, q) == (0, 1) else 0.5)
            turn = torch.eye(dims).repeat(count, 1, 1)
            turn[:, p, p] = turn[:, q, q] = angle.cos()
            turn[:, p, q], turn[:, q, p] = -angle.sin(), angle.sin()
            linear = linear @ turn
        linear = linear * torch.exp(uniform(count, 1, 1) * a.scale) * torch.exp(uniform(count, dims, 1) * a.scale / 2)
        flips = torch.tensor([1.0 if flip else 0.0 for flip in a.flips[:dims]])
        signs = 1 - 2 * ((torch.rand(count, dims, generator=self.generator) < 0.5) * flips)
        half = torch.tensor(
            [n * mm for n, mm in zip(self.spec.patch[:dims], self.spacing)]
        )  # rotate in mm, not in voxels
        linear = linear * signs[:, None, :] * half[None, None, :] / half[None, :, None]
        return torch.cat([linear, uniform(count, dims, 1) * a.shift], 2)

    def _disturb(self, image: Tensor) -> Tensor:
        """Apply random gain, offset and noise to each patch."""
        a, ones = self.augmentation, [self.size] + [1] * (image.ndim - 1)
        normal = lambda *shape: torch.randn(*shape, generator=self.generator)[self.own]  # noqa: E731
        level = torch.rand(*ones, generator=self.generator)[self.own] * a.noise
        image = image * (1 + normal(*ones) * a.gain) + normal(*ones) * a.offset
        return image + normal(self.size, *image.shape[1:]) * level
