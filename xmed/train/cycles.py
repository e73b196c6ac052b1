"""Cycles: one-cycle learning rates, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim.lr_scheduler import OneCycleLR

SHORTEST = 2
"""Steps: one-cycle needs a way up and a way down."""


class Cycles:
    """The learning rate of every parameter group over `steps` steps (Smith & Topin, Super-convergence, 2019).

    cycles: (share of the steps, share of the group's own rate at the top) of each.
    """

    def __init__(
        self, optimiser: torch.optim.Optimizer, steps: int, cycles: Sequence[tuple[float, float]] = ((1.0, 1.0),)
    ) -> None:
        self.optimiser, self.tops, self.done = optimiser, [float(g["lr"]) for g in optimiser.param_groups], 0
        ends = [round(steps * sum(share for share, _ in cycles[: n + 1])) for n in range(len(cycles))]
        self.ends = [max(end, SHORTEST) for end in ends[:-1]] + [steps]
        self.shares = [share for _, share in cycles]
        self.current = self._cycle()

    def step(self) -> None:
        """After every step of the optimiser."""
        self.done += 1
        if self.done == self.ends[-1]:
            return
        if self.done in self.ends:
            self.current = self._cycle()
        else:
            self.current.step()

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done, "current": self.current.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was; the optimiser's own state must have been loaded already."""
        groups = [dict(group) for group in self.optimiser.param_groups]
        self.done = state["done"]
        self.current = self._cycle()
        self.current.load_state_dict(state["current"])
        for group, saved in zip(self.optimiser.param_groups, groups):
            group.update({key: value for key, value in saved.items() if key != "params"})

    def _cycle(self) -> OneCycleLR:
        """The cycle that the next step belongs to."""
        n = sum(self.done >= end for end in self.ends)
        first = self.ends[n - 1] if n else 0
        length = max(self.ends[n] - first, SHORTEST)
        return OneCycleLR(self.optimiser, [top * self.shares[n] for top in self.tops], total_steps=length)
