"""FDA: source images with low frequencies as strong as the target's, and low-entropy predictions on the target."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.methods.method import Method
from xmed.networks.domain_batchnorm import forward_per_domain
from xmed.rendering.appearance_change import mix_amplitude
from xmed.tasks import Segmentation


class Fda(Method):
    """Low-frequency amplitudes of random target patches, mixed into every source patch; supervised on the result.

    Args:
        net: The network.
        task: The segmentation task.
        size: Largest half-width of the box of exchanged frequencies, as a share of the patch's shortest edge. Each
            patch draws its own half-width and its own share of the target's amplitude.
        entropy: Weight of the Charbonnier entropy of the target's predictions (0.005 in the paper). With 0 the target
            is not passed through the network, which halves the cost.
        eta: Exponent of the Charbonnier penalty, which spares voxels that are almost certain already.
    """

    cite: ClassVar[str] = "Yang & Soatto, Fourier domain adaptation, CVPR 2020, arXiv:2004.05498"

    def __init__(
        self, net: nn.Module, task: Segmentation, size: float = 0.05, entropy: float = 0.005, eta: float = 2.0
    ) -> None:
        super().__init__(net, task)
        self.size, self.entropy, self.eta = size, entropy, eta

    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Return the supervised loss on mixed source patches + entropy weight · Charbonnier entropy of the target."""
        b, device = len(source.image), target.image.device
        partner = torch.randint(len(target.image), (b,), device=device, generator=self.random.on(device))
        style_fov = None if target.fov is None else target.fov[partner]
        size, share = (torch.rand(b, generator=self.random.cpu) for _ in range(2))
        style, size = target.image[partner], self.size * size
        image = mix_amplitude(source.image, style, size, share, source.fov, style_fov)
        if not self.entropy:
            return {"supervised": self.task.loss(self.net(image), source.reference, source.fov)}
        (source_logits, _), (target_logits, _) = forward_per_domain(self.net, image, target.image)
        return {
            "supervised": self.task.loss(source_logits, source.reference, source.fov),
            "entropy": self.entropy * charbonnier_entropy(target_logits, target.fov, self.eta),
        }


def charbonnier_entropy(logits: Tensor, fov: Tensor | None, eta: float) -> Tensor:
    """Return the mean of (e² + 1e-8)^η over the field of view, e the entropy of a voxel divided by log C.

    Args:
        logits: (b, C, i, j[, k]).
        fov: Field of view, bool (b, i, j[, k]), or None.
        eta: Exponent η.
    """
    log_p = logits.float().log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1) / math.log(logits.shape[1])
    penalty = (entropy**2 + 1e-8) ** eta
    counted = torch.ones_like(penalty) if fov is None else fov.to(penalty.dtype)
    return (penalty * counted).sum() / counted.sum().clamp_min(1.0)
