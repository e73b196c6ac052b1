"""Batch: the patches of one domain that one training step uses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches of one domain on the network's grid.

    A target batch is built without labels, so that no method can use them.

    Attributes:
        image: float (b, c, i, j[, k]).
        label: int64 (b, i, j[, k]), or None.
        fov: Field of view, bool (b, i, j[, k]), or None for everywhere.
        spacing: Voxel edges in mm along i, j, k.

    Raises:
        ValueError: If the label or the field of view has another shape than the image.
    """

    image: Tensor
    label: Tensor | None = None
    fov: Tensor | None = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for name, value in (("label", self.label), ("fov", self.fov)):
            if value is not None and value.shape != (self.image.shape[0], *self.image.shape[2:]):
                raise ValueError(f"{name} {tuple(value.shape)} does not lie on image {tuple(self.image.shape)}")

    @property
    def reference(self) -> Tensor:
        """The labels of a source batch, int64 (b, i, j[, k]).

        Raises:
            ValueError: For a target batch, which has none.
        """
        if self.label is None:
            raise ValueError("a batch without labels was asked for them")
        return self.label

    @property
    def truth(self) -> Tensor:
        """The name of `reference` in version 0.1.0, which methods of others may use."""
        return self.reference

    def pinned(self) -> Batch:
        """Copy the batch to memory from which a GPU copies while both compute.

        Returns:
            The batch there.
        """
        label, fov = (None if layer is None else layer.pin_memory() for layer in (self.label, self.fov))
        return Batch(self.image.pin_memory(), label, fov, self.spacing)

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> Batch:
        """Move the batch to another device, and its image to another memory format.

        Args:
            device: The device.
            memory_format: Memory format of the image; the other tensors keep theirs.

        Returns:
            The batch there.
        """
        image = self.image.to(device, non_blocking=True, memory_format=memory_format)
        label = None if self.label is None else self.label.to(device, non_blocking=True)
        fov = None if self.fov is None else self.fov.to(device, non_blocking=True)
        return Batch(image, label, fov, self.spacing)
