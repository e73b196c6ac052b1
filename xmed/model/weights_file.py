"""weights.safetensors: the tensors of a network, and of the typical places that belong to it; never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xmed import networks
from xmed.records.model_card import ModelCard
from xmed.tasks import location_prior

PLACES = "position.places"
"""Name of the one tensor in the weights file that is not the network's."""


def write_weights(path: Path, net: nn.Module, places: np.ndarray | None) -> None:
    """Write the weights of a network.

    Args:
        path: The new file.
        net: The network.
        places: Likelihood of each structure at each place, float32 (structures, n, n, n), if the model has it.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in networks.named_tensors(net).items()}
    save_file(tensors | ({} if places is None else {PLACES: torch.from_numpy(places)}), path)


def read_weights(path: Path, card: ModelCard) -> tuple[nn.Module, np.ndarray | None]:
    """Build the network that a card describes, with its weights.

    The file may come from anybody: no network is built before names and shapes in its header are known to be that
    network's.

    Args:
        path: The weights file.
        card: The model's card.

    Returns:
        The network on the CPU, and the likelihood of places (structures, n, n, n), None where the file has none.

    Raises:
        ValueError: Names or shapes are those of another network, or weights are not finite.
        SafetensorError: The file is damaged.
    """
    _check_header(path, card)
    net, weights = _build(card), load_file(path)
    _refuse_infinite(weights)
    places = weights.pop(PLACES).numpy() if PLACES in weights else None
    networks.load_tensors(net, weights)
    return net, places


def _build(card: ModelCard) -> nn.Module:
    classes = 1 + len(card.structures)
    return networks.build_network(card.network, card.grid.spatial_dims, card.grid.channels, classes)


def _check_header(path: Path, card: ModelCard) -> None:
    """Refuse a weights file whose header does not list this network's tensors. No tensor is read or allocated.

    Raises:
        ValueError: Names or shapes differ.
    """
    with torch.device("meta"), _Unfilled():
        expected = {name: list(tensor.shape) for name, tensor in networks.named_tensors(_build(card)).items()}
    with safe_open(path, framework="pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # no mapping
    expected_places = [len(card.structures), *[location_prior.CELLS] * 3]
    if shapes.pop(PLACES, expected_places) != expected_places:
        raise ValueError(f"{PLACES} is not {expected_places}")
    if shapes != expected:
        differ = sorted(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
        raise ValueError(f"weights for another network: {differ[:3]} ...")


def _refuse_infinite(weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite: such a network predicts background everywhere.

    Raises:
        ValueError: Names the tensor.
    """
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds NaN or infinite weights")


class _Unfilled(TorchFunctionMode):
    """Skip random initialisation within the block: without storage it would only load torch's compiler, for seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        return args[0] if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))
