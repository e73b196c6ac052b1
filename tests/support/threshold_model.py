"""A model whose network is a threshold: what it must draw is known for every voxel."""

import torch
from torch import nn

from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.spec import GridSpec, NetworkSpec

TABLE = LabelTable((Structure(1, "organ", "91723000", "41216001"),))


class Threshold(nn.Module):
    """A net that calls everything brighter than one standard deviation an organ: an oracle for geometry."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Parameter(torch.tensor(1.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        middle = image[:, image.shape[1] // 2]
        return torch.stack([-(middle - self.cut), middle - self.cut], 1) * 20


def model(patch=(32, 32, 1), spacing=(1.0, 1.0, 1.0), context=0, modality="MR", net=None) -> Model:
    grid = GridSpec(spacing_mm=spacing, patch=patch, context=context)
    return Model((net or Threshold()).eval(), grid, NetworkSpec(channels=[4, 8, 8]), modality, TABLE)
