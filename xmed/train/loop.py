"""The training loop: steps, precision, memory format, learning rate, losses, checkpoints."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xmed.methods import Method
from xmed.networks import named_tensors
from xmed.networks.distributed import ALONE, Losses, Ranks
from xmed.prepare import Batches
from xmed.processes import termination
from xmed.spec import Budget
from xmed.train.checkpoint import Checkpoint, Trained, save_if_due_or_signalled
from xmed.train.loss_table import LossTable

WEIGHT_DECAY, CHECKPOINT_EVERY, GRADIENT_LIMIT = 1e-4, 200, 12.0


def train(
    method: Method, source: Batches, target: Batches, budget: Budget, device: torch.device, folder: Path,
    progress: Callable[[int, int, str], None] | None = None, ranks: Ranks = ALONE, bfloat16: bool = False,
) -> Trained:  # fmt: skip
    """Train a method; losses.csv and checkpoints are written into `folder`.

    AdamW with a one-cycle learning rate in each of the method's rounds, in channels-last memory format. A checkpoint
    in `folder` is continued, to the same weights as without interruption.

    Args:
        method: The method; it is moved to the device.
        source: Yields labelled batches.
        target: Yields batches without labels.
        budget: Steps and learning rate.
        device: The device that trains.
        folder: Folder of this training.
        progress: Called after each step with (steps done, all steps, loss and remaining time in words).
        ranks: The processes that train together, each with its share of every batch; rank 0 writes.
        bfloat16: Whether the forward pass is autocast to bfloat16 (see `networks.precision`).

    Returns:
        The weights at the method's milestones.

    Raises:
        XmedError: TRAINING_DIVERGED, DEVICE_LOST.
        KeyboardInterrupt: The process was asked to stop; a checkpoint is saved.
    """
    layout, rounds = _place(method, source.spec.spatial_dims, device), _rounds(method, budget)
    trained_parameters = [p for p in method.parameters() if p.requires_grad]
    steps, milestones = rounds[-1].last, {step for each in rounds for step in each.milestones}
    optimiser, schedule = _optimiser(method, rounds[0])
    checkpoint = Checkpoint(folder, method, optimiser, schedule, (source, target), device, ranks)
    done, trained = checkpoint.restore()
    losses_of = ranks.average_gradients(method, method.losses)
    with LossTable(folder / "losses.csv", done, ranks.rank == 0) as table, termination.stoppable_training():
        started, before = time.monotonic(), trained.seconds
        for step, now, begins in _steps(rounds, done):
            if begins:
                method.start_round()
                optimiser, schedule = checkpoint.optimiser, checkpoint.schedule = _optimiser(method, now)
            method.train()
            method.progress.fill_((step - now.first) / now.steps)
            losses = _losses(losses_of, (source, target), device, layout, bfloat16)
            values = _descend(losses, optimiser, trained_parameters, ranks)
            table.row(step, values, float(schedule.get_last_lr()[0]))
            schedule.step()
            method.after_step()
            ranks.average_buffers(method)
            trained.seconds = before + time.monotonic() - started
            if step in milestones:
                table.read()  # a network that has diverged is no candidate
                trained.candidates[step] = _weights_of(method)
            save = functools.partial(_save, step, trained, table, checkpoint)
            save_if_due_or_signalled(step, steps, CHECKPOINT_EVERY, save, device, ranks)
            if progress:
                progress(step, steps, f"loss {table.last_total:.3f}")
    return trained


def _place(method: Method, spatial_dims: int, device: torch.device) -> torch.memory_format:
    """Move a method to a device, in the memory format in which convolutions are fast; return that format."""
    layout = torch.channels_last if spatial_dims == 2 else torch.channels_last_3d
    method.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack the pair
    return layout


def _losses(
    losses_of: Losses,
    samplers: tuple[Batches, Batches],
    device: torch.device,
    layout: torch.memory_format,
    bfloat16: bool,
) -> dict[str, torch.Tensor]:
    """Compute the losses of the next batches of source and target."""
    batches = [next(sampler).to(device, layout) for sampler in samplers]
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        return losses_of(*batches)


def _save(step: int, trained: Trained, table: LossTable, checkpoint: Checkpoint) -> None:
    table.flush()
    checkpoint.save(step, trained)


def _weights_of(method: Method) -> dict[str, torch.Tensor]:
    """Return a copy of the deployable network's weights, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in named_tensors(method.deployed()).items()}


def _descend(
    losses: dict[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    parameters: list[torch.nn.Parameter],
    ranks: Ranks,
) -> dict[str, torch.Tensor]:
    """Take one optimiser step on the sum of losses; return the losses, and their sum as "total"."""
    zero = torch.zeros((), device=parameters[0].device)
    total = torch.stack([loss.float() for loss in losses.values()] or [zero]).sum()
    values = {name: loss.detach() for name, loss in losses.items()} | {"total": ranks.mean(total.detach())}
    optimiser.zero_grad(set_to_none=True)
    if losses:
        total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_LIMIT)
    optimiser.step()
    return values


def steps_of(method: Method, budget: Budget) -> int:
    """Return the number of steps of all rounds of a method's training."""
    return _rounds(method, budget)[-1].last


@dataclass(frozen=True)
class _Round:
    """One cycle of the learning rate. `first`, `last` and `milestones` are steps, counted from 1 over all rounds."""

    first: int
    steps: int
    rate: float
    milestones: frozenset[int]

    @property
    def last(self) -> int:
        """Return the last step."""
        return self.first + self.steps - 1


def _steps(rounds: list[_Round], done: int) -> Iterator[tuple[int, _Round, bool]]:
    """Yield the steps that are left, each with its round, and whether it is the first of a further round."""
    for number, each in enumerate(rounds):
        for step in range(max(each.first, done + 1), each.last + 1):
            yield step, each, number > 0 and step == each.first


def _rounds(method: Method, budget: Budget) -> list[_Round]:
    plan, rounds, first = method.schedule, [], 1
    for number in range(method.rounds):
        share, rate = plan.later_rounds if number else (1.0, 1.0)
        steps = max(2, math.ceil(share * plan.steps * budget.steps))  # one-cycle needs two
        ends = plan.milestones[-1:] if number else plan.milestones  # the doubt is whether to teach, not for how long
        milestones = frozenset(first - 1 + max(1, math.ceil(share * steps)) for share in ends)
        rounds.append(_Round(first, steps, rate * plan.rate * budget.learning_rate, milestones))
        first += steps
    return rounds


def _optimiser(method: Method, now: _Round) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    groups = _groups(method, now.rate)
    on_gpu = next(method.parameters()).device.type == "cuda"  # all parameters in one kernel there
    optimiser = torch.optim.AdamW(groups, lr=now.rate, weight_decay=WEIGHT_DECAY, fused=on_gpu or None)
    rates = [group["lr"] for group in groups]
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=now.steps)


def _groups(method: Method, rate: float) -> list[dict[str, Any]]:
    """Group parameters by learning rate: those of modules in `method.learning_rate_shares()`, and all others."""
    slow = {p: share for module, share in method.learning_rate_shares().items() for p in module.parameters()}
    shares = {p: slow.get(p, 1.0) for p in method.parameters() if p.requires_grad}
    return [
        {"params": [p for p, s in shares.items() if s == share], "lr": rate * share}
        for share in sorted(set(shares.values()))
    ]
