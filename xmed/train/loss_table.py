"""Loss table: losses.csv of a training, and how often losses are read from the device."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from xmed.errors import XmedError

READ_EVERY = 20
"""Steps on a GPU between two readings of the losses: to read a number waits until all that was queued is computed."""


class LossTable:
    """losses.csv, one row per step. A continued training drops rows after its checkpoint.

    Of several ranks the first writes: single losses are its own, the total is the mean over ranks.

    Args:
        path: The file.
        done: Number of steps that are done already.
        writes: Whether this process writes the file.
    """

    def __init__(self, path: Path, done: int, writes: bool) -> None:
        self.names: list[str] = []
        self.rows: list[dict[str, str | float]] = []
        self.path, self.writes = path, writes
        self.last_total = math.nan
        self._unread: list[tuple[int, Mapping[str, Tensor], float]] = []
        if done and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [{**row} for row in csv.DictReader(file) if int(row["step"]) <= done]
            self.names = [name for name in (self.rows[0] if self.rows else {}) if name not in ("step", "total", "lr")]

    def __enter__(self) -> LossTable:
        return self

    def row(self, step: int, losses: Mapping[str, Tensor], rate: float) -> None:
        """Add the row of one step. On a CPU its losses are read at once, on a GPU from time to time.

        Args:
            step: The step, from 1.
            losses: Name → value of each loss, and of their "total", scalars.
            rate: Learning rate of the step.

        Raises:
            XmedError: TRAINING_DIVERGED, see `read`.
        """
        self._unread.append((step, losses, rate))
        if losses["total"].device.type == "cpu" or len(self._unread) >= READ_EVERY:
            self.read()

    def read(self) -> None:
        """Read the losses of the steps since the last reading, with one copy from the device.

        Raises:
            XmedError: TRAINING_DIVERGED where the sum of a step is not finite.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        scalars = [value for _, losses, _ in unread for value in losses.values()]
        numbers = iter(torch.stack([value.double() for value in scalars]).tolist())
        for step, losses, rate in unread:
            values = {name: next(numbers) for name in losses}
            self.last_total = values["total"]
            if not math.isfinite(self.last_total):
                raise XmedError("TRAINING_DIVERGED", f"step {step}: losses {values}", "finite losses", "lower the rate")
            self.names += [name for name in values if name not in (*self.names, "total")]  # a loss may begin late
            self.rows.append({"step": step, **values, "lr": rate})

    def flush(self) -> None:
        """Write the file.

        Raises:
            XmedError: TRAINING_DIVERGED, see `read`.
        """
        self.read()
        self._write()

    def _write(self) -> None:
        if not self.writes:
            return
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *self.names, "total", "lr"], restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def __exit__(self, problem: type[BaseException] | None, *_: object) -> None:
        try:
            if problem is None:  # what cannot be read any more must not hide the problem
                self.read()
        finally:
            self._write()
