"""Loop: steps, precision, memory format, learning rate, losses, checkpoints. Methods know none of it."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from xmed import stop
from xmed.errors import XmedError
from xmed.methods import Method
from xmed.model import bf16_pays
from xmed.nets import tensors
from xmed.prepare import Sampler
from xmed.spec import Budget
from xmed.train.checkpoint import Checkpoint, Trained

Progress = Callable[[str, int, int, str], None]
"""(what, done, total, note): how far a long piece of work is."""

WEIGHT_DECAY, CHECKPOINT_EVERY, GRADIENT_LIMIT = 1e-4, 200, 12.0


def train(
    method: Method,
    source: Sampler,
    target: Sampler,
    budget: Budget,
    device: torch.device,
    folder: Path,
    progress: Callable[[int, int, str], None] | None = None,
) -> Trained:
    """Run `budget.steps` steps of `method`; losses.csv and checkpoints are written into `folder`.

    AdamW under a one-cycle learning rate; bfloat16 autocast and channels-last where they pay. A checkpoint found in
    `folder` is continued, to the same weights as without the interruption. Raises XmedError TRAINING_DIVERGED,
    DEVICE_LOST; KeyboardInterrupt, having saved, where it is asked to stop.
    """
    dims, steps, rate = source.spec.spatial_dims, steps_of(method, budget), budget.learning_rate * method.schedule.rate
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    method.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    trained_parameters = [p for p in method.parameters() if p.requires_grad]
    groups = _groups(method, rate)
    optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [group["lr"] for group in groups], total_steps=steps)
    milestones = {max(1, math.ceil(share * steps)) for share in method.schedule.milestones}
    checkpoint = Checkpoint(folder, method, optimiser, schedule, (source, target), device)
    done, trained = checkpoint.restore()
    with _Log(folder / "losses.csv", done) as log, stop.heeding():
        started, before = time.monotonic(), trained.seconds
        for step in range(done + 1, steps + 1):
            method.train()
            method.progress.fill_((step - 1) / steps)
            batches = next(source).to(device, layout), next(target).to(device, layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device)):
                losses = method.losses(*batches)
            total = torch.stack([loss.float() for loss in losses.values()] or [torch.zeros(())]).sum()
            values = {name: float(loss.detach()) for name, loss in (*losses.items(), ("total", total))}
            if not math.isfinite(values["total"]):
                raise XmedError("TRAINING_DIVERGED", f"step {step}: losses {values}", "finite losses", "lower the rate")
            optimiser.zero_grad(set_to_none=True)
            if losses:
                total.backward()
            torch.nn.utils.clip_grad_norm_(trained_parameters, GRADIENT_LIMIT)
            optimiser.step()
            log.row(step, values, float(schedule.get_last_lr()[0]))
            schedule.step()
            method.after_step()
            trained.seconds = before + time.monotonic() - started
            if step in milestones:
                trained.candidates[step] = {k: v.detach().cpu().clone() for k, v in tensors(method.deployed()).items()}
            if step < steps and (step % CHECKPOINT_EVERY == 0 or stop.asked()):
                log.flush()
                checkpoint.save(step, trained)
                if stop.asked():
                    raise KeyboardInterrupt
            if progress:
                left = (time.monotonic() - started) / (step - done) * (steps - step)
                progress(step, steps, f"loss {values['total']:.3f}, {left:.0f} s left")
    return trained


def steps_of(method: Method, budget: Budget) -> int:
    """How many steps a method's training takes of a study's budget."""
    return max(2, math.ceil(method.schedule.steps * budget.steps))  # one-cycle needs two


def _groups(method: Method, rate: float) -> list[dict[str, Any]]:
    """Parameters by learning rate: those of the modules that `method.rates()` names, and all others."""
    slow = {p: share for module, share in method.rates().items() for p in module.parameters()}
    shares = {p: slow.get(p, 1.0) for p in method.parameters() if p.requires_grad}
    return [
        {"params": [p for p, s in shares.items() if s == share], "lr": rate * share}
        for share in sorted(set(shares.values()))
    ]


class _Log:
    """losses.csv, one row per step; a continued training drops the rows that came after its checkpoint."""

    def __init__(self, path: Path, done: int) -> None:
        self.names: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.path = path
        if done and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= done]
            self.names = [name for name in (self.rows[0] if self.rows else {}) if name not in ("step", "total", "lr")]

    def __enter__(self) -> _Log:
        return self

    def row(self, step: int, values: dict[str, float], rate: float) -> None:
        self.names += [name for name in values if name not in (*self.names, "total")]  # a loss may begin late
        self.rows.append({"step": step, **values, "lr": rate})

    def flush(self) -> None:
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *self.names, "total", "lr"], restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def __exit__(self, *_: object) -> None:
        self.flush()
