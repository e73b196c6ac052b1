"""DG-TTA: a network that generalises already is made to agree with itself about one volume in two random poses."""

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
from xmed.networks.random_numbers import RandomNumbers
from xmed.tasks import Segmentation

AFFINE_SD = 0.05  # sd of every entry of a random affine, in half-widths of the patch: the reference code's
"""Standard deviation of every entry of a random affine, in half-widths of the patch: the value of the reference
code.
"""


class Dgtta(Method):
    """Consistency under random affines at test time, from the network of `gin`; the mean of restarts is deployed.

    Running statistics stay as they are: those of patches that a sector hardly fills would be worse. A restart after
    which the foreground has vanished is replaced by the unadapted network, because two empty predictions agree
    perfectly.

    Args:
        net: The network.
        task: The segmentation task.
        restarts: Number of adapted networks per volume.
        steps: Steps of AdamW on each volume.
        rate: Learning rate of AdamW.
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
        """Return no loss: all learning happens on the volume that is to be predicted."""
        del source, target
        return {}

    def adapt(self, volume: Iterator[Batch]) -> None:
        """Adapt `restarts` copies of the network to the volume, each for `steps` steps, and keep their ensemble."""
        device = next(self.net.parameters()).device
        first = next(volume).to(device)
        voxels_before, members = foreground_voxels(self.net, first), []
        for _ in range(self.restarts):
            net = copy.deepcopy(self.net).eval()
            optimiser = torch.optim.AdamW(net.parameters(), lr=self.rate)
            for _ in range(self.steps):
                loss = disagreement(net, next(volume).to(device), self.random)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
                optimiser.step()
            members.append(self.net if foreground_vanished(voxels_before, foreground_voxels(net, first)) else net)
        self.adapted = Ensemble(members)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.deployed()(image)
        return logits

    def deployed(self) -> nn.Module:
        return self.adapted or self.net


def disagreement(net: nn.Module, batch: Batch, random: RandomNumbers) -> Tensor:
    """Return 1 − Dice between the predictions of the same patches in two random poses, after both are moved back.

    Only the first prediction is trained; the second, without gradient, is what it is compared with. Only voxels that
    both poses kept in view count.

    Args:
        net: The network.
        batch: Unlabelled patches.
        random: Draws the poses.

    Returns:
        Scalar in [0, 1].
    """
    fov = torch.ones_like(batch.image[:, :1]) if batch.fov is None else batch.fov[:, None].to(batch.image.dtype)
    theta = random_affines(batch.image, random)
    trained, in_view = _branch(net, batch.image, fov, theta)
    with torch.no_grad():
        constant, in_other_view = _branch(net, batch.image, fov, random_affines(batch.image, random))
    counted = in_view * in_other_view
    return 1 - squared_dice((trained * counted)[:, 1:], (constant * counted)[:, 1:])


def squared_dice(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean over classes of 2 Σab / (½ Σ(a + b)²), as in the reference code: 1 for equal maps, hard or soft.

    Args:
        a: Probabilities (b, classes, i, j[, k]). The batch counts as one volume.
        b: Probabilities of the same shape.

    Returns:
        Scalar. A class that neither map contains gives 1.
    """
    axes = [0, *range(2, a.ndim)]
    return ((2 * (a * b).sum(axes) + 1e-3) / (0.5 * ((a + b) ** 2).sum(axes) + 1e-3)).mean()


def random_affines(image: Tensor, random: RandomNumbers) -> Tensor:
    """Return the identity plus normal noise for each patch, (b, dims, dims + 1), as torch's `affine_grid` takes it."""
    dims = image.ndim - 2
    noise = torch.randn(len(image), dims, dims + 1, device=image.device, generator=random.on(image.device))
    return torch.eye(dims, dims + 1, device=image.device) + AFFINE_SD * noise


def warp(image: Tensor, theta: Tensor, padding: str = "border") -> Tensor:
    """Resample an image: voxel x takes the value at theta · x.

    Args:
        image: (b, c, i, j[, k]).
        theta: Affines (b, dims, dims + 1) in torch's normalised coordinates.
        padding: Padding mode of `grid_sample`.
    """
    grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
    return functional.grid_sample(image, grid, padding_mode=padding, align_corners=False)


def inverse_affine(theta: Tensor) -> Tensor:
    """Return the affines that undo `theta`."""
    linear = torch.linalg.inv(theta[:, :, :-1])
    return torch.cat([linear, -linear @ theta[:, :, -1:]], 2)


def _branch(net: nn.Module, image: Tensor, fov: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probabilities of warped patches, moved back, and where their content was in view both ways."""
    p = net(warp(image, theta)).float().softmax(1)
    back = inverse_affine(theta)
    return warp(p, back), (warp(warp(fov, theta, "zeros"), back, "zeros") > 0.5) * fov
