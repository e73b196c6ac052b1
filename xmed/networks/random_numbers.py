"""Random numbers of one training, from generators that are passed on and not from the global one of torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class RandomNumbers:
    """The random generators of one training: one for tensors on the CPU, and one for each other kind of device.

    A process uses one device of a kind. All generators start from the same seed.

    Args:
        seed: The seed.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.cpu = torch.Generator().manual_seed(seed)
        self._of_devices: dict[str, torch.Generator] = {}

    @classmethod
    def after_initialisation(cls, seed: int) -> RandomNumbers:
        """Go on with the random numbers that follow those of the first weights. Call it within `initialised_from`.

        Args:
            seed: The seed of `initialised_from`.

        Returns:
            Generators, the one of the CPU in the state that the initialisation has left.
        """
        random = cls(seed)
        random.cpu.set_state(torch.get_rng_state())
        return random

    def on(self, device: torch.device) -> torch.Generator:
        """Return the generator for tensors on a device.

        Args:
            device: The device.

        Returns:
            The generator, always the same one for a kind of device.
        """
        if device.type == "cpu":
            return self.cpu
        if device.type not in self._of_devices:
            self._of_devices[device.type] = torch.Generator(device.type).manual_seed(self.seed)
        return self._of_devices[device.type]

    def state(self, device: torch.device) -> dict[str, Tensor | None]:
        """Return the state of the generators of the CPU and of one device.

        Args:
            device: The device.

        Returns:
            `random` of the CPU, and `device_random`, None for the CPU and for a device that has drawn nothing yet.
        """
        generator = self._of_devices.get(device.type)
        return {"random": self.cpu.get_state(), "device_random": None if generator is None else generator.get_state()}

    def restore(self, state: dict[str, Tensor | None], device: torch.device) -> None:
        """Go on from a state that `state` returned.

        Args:
            state: The state.
            device: The device that it is of.
        """
        if state["random"] is not None:
            self.cpu.set_state(state["random"])
        if state["device_random"] is not None:
            self.on(device).set_state(state["device_random"])


@contextmanager
def initialised_from(seed: int) -> Iterator[None]:
    """Let layers that are built within the block have their first weights from a seed.

    Torch's layers take no generator, so its global generator of the CPU is seeded for them, and has its former state
    again after the block.

    Args:
        seed: The seed.

    Yields:
        Nothing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
