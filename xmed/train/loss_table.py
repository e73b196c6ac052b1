"""losses.csv: every loss of every step of one training."""

from __future__ import annotations

import csv
from pathlib import Path


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
        if done and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [{**row} for row in csv.DictReader(file) if int(row["step"]) <= done]
            self.names = [name for name in (self.rows[0] if self.rows else {}) if name not in ("step", "total", "lr")]

    def __enter__(self) -> LossTable:
        return self

    def row(self, step: int, values: dict[str, float], rate: float) -> None:
        """Add the row of one step.

        Args:
            step: The step, from 1.
            values: Name → value of each loss, and of their "total".
            rate: Learning rate of the step.
        """
        self.names += [name for name in values if name not in (*self.names, "total")]  # a loss may begin late
        self.rows.append({"step": step, **values, "lr": rate})

    def flush(self) -> None:
        """Write the file."""
        if not self.writes:
            return
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *self.names, "total", "lr"], restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def __exit__(self, *_: object) -> None:
        self.flush()
