"""Save a checkpoint when a signal (SIGTERM, SIGINT) asks the process to end, and every so many steps.

`xmed.processes.termination` catches the signal, whose handler may run in the middle of a step. So the training asks
after each step whether one has come, saves, and only then ends. A scheduler that ends a job sends SIGTERM; without the
checkpoint all steps since the last one would be lost.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from xmed.networks.distributed import Ranks
from xmed.processes import termination


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
