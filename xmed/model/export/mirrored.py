"""An inferer that averages probabilities over mirrored copies of an image. A bundle contains a copy of this file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, product
from typing import Any

import torch
from monai.inferers.inferer import Inferer


class Mirrored(Inferer):
    """Averages another inferer's probabilities over all mirrorings that training used.

    Args:
        inferer: Cuts an image into patches and puts the results together.
        flips: Which spatial axes are mirrored.
    """

    def __init__(self, inferer: Inferer, flips: Sequence[bool]) -> None:
        super().__init__()
        self.inferer = inferer
        self.axes = list(compress(range(2, 2 + len(flips)), flips))

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return probabilities (b, classes, i, j, k) of an image (b, c, i, j, k); the network returns logits."""
        copies = [list(compress(self.axes, chosen)) for chosen in product((False, True), repeat=len(self.axes))]
        probabilities: list[torch.Tensor] = [
            self.inferer(inputs.flip(axes), lambda patch: network(patch).softmax(1), *args, **kwargs).flip(axes)
            for axes in copies
        ]
        return sum(probabilities[1:], start=probabilities[0]) / len(probabilities)
