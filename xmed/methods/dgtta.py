"""Dgtta: a net that generalises already, made to agree with itself about one volume seen twice in different poses."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmed.batch import Batch
from xmed.methods.method import Method, Schedule
from xmed.networks import Ensemble
from xmed.networks.collapse_check import foreground_vanished, foreground_voxels
from xmed.tasks import Segmentation

AFFINE_SD = 0.05  # sd of every entry of a random affine, in half-widths of the patch: the reference code's


class Dgtta(Method):
    """Consistency under random affines at test time, from the net of `gin`; the mean of several restarts is deployed.

    restarts, steps, rate: of AdamW on each volume. Running statistics stay: those of patches that a sector hardly fills
    would be worse. A restart after which the foreground has vanished, about which two empty branches agree, is replaced
    by the un-adapted net.
    """

    cite: ClassVar[str] = "Weihsbach et al., DG-TTA, Sensors 2025, arXiv:2312.06275"
    schedule: ClassVar[Schedule] = Schedule(start="gin", steps=0.0)
    test_time: ClassVar[bool] = True

    def __init__(
        self, net: nn.Module, task: Segmentation, restarts: int = 3, steps: int = 11, rate: float = 1e-5
    ) -> None:
        super().__init__(net, task)
        self.restarts, self.steps, self.rate = restarts, steps, rate
        self.adapted: nn.Module | None = None

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """None: all learning happens on the volume that is to be predicted."""
        del source, target
        return {}

    def adapt(self, volume: Iterator[Batch]) -> None:
        where = next(self.net.parameters()).device
        first = next(volume).to(where)
        before, members = foreground_voxels(self.net, first), []
        for _ in range(self.restarts):
            net = copy.deepcopy(self.net).eval()
            optimiser = torch.optim.AdamW(net.parameters(), lr=self.rate)
            for _ in range(self.steps):
                loss = disagreement(net, next(volume).to(where))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            members.append(self.net if foreground_vanished(before, foreground_voxels(net, first)) else net)
        self.adapted = Ensemble(members)

    def forward(self, image: Tensor) -> Tensor:
        return self.deployed()(image)

    def deployed(self) -> nn.Module:
        return self.adapted or self.net


def disagreement(net: nn.Module, batch: Batch) -> Tensor:
    """1 − Dice of what the net sees in two random poses of the same patches, both brought back; scalar in [0, 1].

    Only the first branch learns: the second is what it is compared with. Only voxels that both poses kept in view
    count.
    """
    fov = torch.ones_like(batch.image[:, :1]) if batch.fov is None else batch.fov[:, None].to(batch.image.dtype)
    there = random_affines(batch.image)
    learning, inside = _branch(net, batch.image, fov, there)
    with torch.no_grad():
        still, also_inside = _branch(net, batch.image, fov, random_affines(batch.image))
    seen = inside * also_inside
    return 1 - squared_dice((learning * seen)[:, 1:], (still * seen)[:, 1:])


def squared_dice(a: Tensor, b: Tensor) -> Tensor:
    """Mean over classes of 2 Σab / ½ Σ(a + b)² of probabilities (batch, classes, i, j[, k]).

    As in the reference code: 1 for equal maps, hard or soft. The batch counts as one volume; a class that neither map
    holds gives 1.
    """
    axes = [0, *range(2, a.ndim)]
    return ((2 * (a * b).sum(axes) + 1e-3) / (0.5 * ((a + b) ** 2).sum(axes) + 1e-3)).mean()


def random_affines(image: Tensor) -> Tensor:
    """Per patch the identity plus normal noise, (b, dims, dims + 1), as torch's affine_grid takes it."""
    dims = image.ndim - 2
    noise = torch.randn(len(image), dims, dims + 1, device=image.device)
    return torch.eye(dims, dims + 1, device=image.device) + AFFINE_SD * noise


def warp(image: Tensor, theta: Tensor, padding: str = "border") -> Tensor:
    """Image (b, c, i, j[, k]) whose voxels x take the value at theta · x."""
    grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
    return functional.grid_sample(image, grid, padding_mode=padding, align_corners=False)


def inverse_affine(theta: Tensor) -> Tensor:
    """The affine that undoes `theta`."""
    linear = torch.linalg.inv(theta[:, :, :-1])
    return torch.cat([linear, -linear @ theta[:, :, -1:]], 2)


def _branch(net: nn.Module, image: Tensor, fov: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of the warped patches, brought back, and where what they show was in view both ways."""
    p = net(warp(image, theta)).float().softmax(1)
    back = inverse_affine(theta)
    return warp(p, back), (warp(warp(fov, theta, "zeros"), back, "zeros") > 0.5) * fov
