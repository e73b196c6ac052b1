"""Checkpoints: everything that a training needs to continue exactly as without an interruption.

One is saved every so many steps, and when a signal (SIGTERM, SIGINT) asks the process to end.
`xmed.processes.termination` catches the signal, whose handler may run in the middle of a step. So the training asks
after each step whether one has come, saves, and only then ends. A scheduler that ends a job sends SIGTERM; without the
checkpoint all steps since the last one would be lost.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xmed.errors import XmedError
from xmed.files.atomic import flush_folder
from xmed.methods import Method
from xmed.networks.distributed import ALONE, Ranks
from xmed.prepare import Batches
from xmed.processes import termination

KEPT, DIGITS = 2, 16
"""Number of checkpoints that are kept, and of hexadecimal digits of the checksum in a file name."""


@dataclass
class Trained:
    """Result of a training.

    Attributes:
        candidates: Weights of the deployable network at each milestone, by step.
        seconds: Duration of the steps alone.
    """

    candidates: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Checkpoint:
    """The checkpoints of one training: checkpoint-<step>-<first digits of its sha256>.pt, the last two of them.

    The name contains the checksum, so file and checksum come to the disk by one rename.
    """

    folder: Path
    method: Method
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    samplers: Sequence[Batches]
    device: torch.device
    ranks: Ranks = ALONE

    def save(self, step: int, trained: Trained) -> None:
        """Write a checkpoint, safe against power loss, before an older one is deleted and before any rank continues."""
        each = self.ranks.gather(self.method.random.state(self.device))
        if self.ranks.rank == 0:
            self._write(step, trained, each)
        self.ranks.wait()

    def _write(self, step: int, trained: Trained, each: list[dict[str, Any]]) -> None:
        state = {
            "step": step,
            "seconds": trained.seconds,
            "candidates": trained.candidates,
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "samplers": [sampler.state() for sampler in self.samplers],
            "ranks": each,
            "device": self.device.type,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        name = f"checkpoint-{step:08d}-{hashlib.sha256(buffer.getbuffer()).hexdigest()[:DIGITS]}.pt"
        part = self.folder / "checkpoint.part"
        with part.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / name)
        flush_folder(self.folder)
        for path in checkpoint_files(self.folder)[KEPT:]:
            path.unlink()

    def restore(self) -> tuple[int, Trained]:
        """Load the newest undamaged checkpoint.

        Returns:
            The step after which the training continues, 0 where there is no checkpoint; and what was trained so far.

        Raises:
            XmedError: DEVICE_LOST where it was written on another kind or number of devices.
        """
        state = next((state for state in map(_read, checkpoint_files(self.folder)) if state is not None), None)
        if state is None:
            return 0, Trained()
        then, now = (len(state["ranks"]), state["device"]), (self.ranks.count, self.device.type)
        if then != now:
            began, available = (kind if count == 1 else f"{count} × {kind}" for count, kind in (then, now))
            what = f"this training began on {began}, and there is only {available}"
            raise XmedError("DEVICE_LOST", what, state["device"], f"give it back, or delete {self.folder}")
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        for sampler, its in zip(self.samplers, state["samplers"]):
            sampler.restore(its)
        self.method.random.restore(state["ranks"][self.ranks.rank], self.device)
        return state["step"], Trained(state["candidates"], state["seconds"])


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, newest first."""
    return sorted(folder.glob("checkpoint-*.pt"), reverse=True)


def delete_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a finished training."""
    for path in folder.glob("checkpoint*"):
        path.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint's content; None where its checksum is wrong, or an earlier version of xmed wrote it."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest()[:DIGITS] != path.stem.rpartition("-")[2]:
        logging.getLogger(__name__).warning("%s is damaged; an earlier one is taken", path.name)
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state if "ranks" in state else None


def save_if_due_or_signalled(
    step: int, last_step: int, every: int, save: Callable[[], None], device: torch.device, ranks: Ranks
) -> None:
    """Save a checkpoint after a step, if it is time for one or a signal has come. After a signal, end the training.

    Of several processes all save when one has got a signal. After the last step nothing is saved and nothing is
    interrupted: the training is finished.

    Args:
        step: The step that is done, from 1.
        last_step: The last step of the training.
        every: Number of steps between two checkpoints.
        save: Saves a checkpoint.
        device: The device that trains.
        ranks: The processes that train together.

    Raises:
        KeyboardInterrupt: A signal has come, and the checkpoint is saved.
    """
    signalled = ranks.any(termination.stop_requested(), device)
    if step < last_step and (step % every == 0 or signalled):
        save()
        if signalled:
            raise KeyboardInterrupt
