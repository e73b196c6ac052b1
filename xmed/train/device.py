"""The device that torch computes on, and whether it gives the same numbers twice; for a run's provenance."""

from __future__ import annotations

from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Return names of GPU, CUDA and cuDNN ("none" without a GPU), and the determinism flags of this process."""
    there = torch.cuda.is_available()
    return {
        "gpu": torch.cuda.get_device_name() if there else "none",
        "cuda": str(torch.version.cuda) if there else "none",
        "cudnn": str(torch.backends.cudnn.version()) if there else "none",
        "determinism": {
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
        },
    }
