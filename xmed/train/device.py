"""The device that torch computes on, and whether it gives the same numbers twice; for a run's provenance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Determinism:
    """Settings of torch that decide whether a computation gives the same numbers when it is repeated.

    Attributes:
        deterministic_algorithms: Whether torch refuses algorithms that are not deterministic.
        cudnn_deterministic: Whether cuDNN uses deterministic algorithms only.
        cudnn_benchmark: Whether cuDNN chooses algorithms by timing them, so that the choice may change.
    """

    deterministic_algorithms: bool
    cudnn_deterministic: bool
    cudnn_benchmark: bool


@dataclass(frozen=True)
class TorchDevice:
    """GPU and libraries that torch uses; each is "none" without a GPU.

    Attributes:
        gpu: The GPU's name.
        cuda: Version of CUDA.
        cudnn: Version of cuDNN.
        determinism: Settings of this process.
    """

    gpu: str
    cuda: str
    cudnn: str
    determinism: Determinism


def machine() -> TorchDevice:
    """Describe the GPU of this machine and the determinism settings of this process.

    Returns:
        The description, for environment.json.
    """
    has_gpu = torch.cuda.is_available()
    version_of_cudnn: Callable[[], int | None] = torch.backends.cudnn.version
    return TorchDevice(
        gpu=torch.cuda.get_device_name() if has_gpu else "none",
        cuda=str(torch.version.cuda) if has_gpu else "none",
        cudnn=str(version_of_cudnn()) if has_gpu else "none",
        determinism=Determinism(
            deterministic_algorithms=torch.are_deterministic_algorithms_enabled(),
            cudnn_deterministic=torch.backends.cudnn.deterministic,
            cudnn_benchmark=torch.backends.cudnn.benchmark,
        ),
    )
