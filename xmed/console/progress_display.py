"""Progress of long work: bars on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from xmed.console.printable import escape_line, print_line
from xmed.files.progress import Progress

FAILED = "failed: "
"""The note of a training that failed begins with this."""
PIPED_WIDTH = 160  # a table in a file or a cron mail need not be folded at 80 columns
SHARE_PER_LINE = 0.1  # without a terminal: one line per tenth of the work
_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


def report(what: str, done: int, total: int, note: str = "") -> None:
    """Report progress to whatever shows it at present; without a display this does nothing.

    Args:
        what: The piece of work, such as "train adapted seed 0".
        done: Steps that are done.
        total: Steps in all.
        note: A remark on the last step, such as the loss.
    """
    show = _current.get()
    if show is not None:
        show(what, done, total, note)


def lay_out(rows: Sequence[str], columns: Sequence[int]) -> None:
    """Show trainings in one table from now on; on a terminal only.

    Args:
        rows: Names of the arms or methods, a line each.
        columns: Seeds, a column each.
    """
    show = _current.get()
    if isinstance(show, _Bars):
        show.bars.cells = {(row, column): "·" for row in rows for column in columns}


@contextmanager
def progress(console: Console) -> Iterator[None]:
    """Show on a console what `report` is given within the block.

    Args:
        console: The console.

    Yields:
        Once; the display ends with the block.
    """
    if not console.is_terminal:
        with shown_by(ProgressLines(console)):
            yield
        return
    name_column = TextColumn("{task.description}", markup=False)
    note_column = TextColumn("{task.fields[note]}", style="dim", markup=False)
    columns = (
        name_column, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), note_column
    )  # fmt: skip
    with _BarsAndTable(*columns, console=console) as bars, shown_by(_Bars(bars)):
        yield


@contextmanager
def shown_by(show: Progress) -> Iterator[None]:
    """Pass what `report` is given within the block to a function.

    Args:
        show: Is called with what `report` is given.

    Yields:
        Once; the function is no longer called after the block.
    """
    token = _current.set(show)
    try:
        yield
    finally:
        _current.reset(token)


class _BarsAndTable(RichProgress):
    """Bars, and above them the table of trainings where `lay_out` asked for one."""

    cells: Mapping[tuple[str, int], str] = {}

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.cells:
            columns = list(dict.fromkeys(column for _, column in self.cells))
            grid = Table("", *(f"seed {column}" for column in columns), box=None, pad_edge=False, header_style="bold")
            for row in dict.fromkeys(row for row, _ in self.cells):
                cells = (Text.from_markup(self.cells.get((row, column), "")) for column in columns)
                grid.add_row(Text(escape_line(row)), *cells)
            yield grid
        yield from super().get_renderables()


class _Bars:
    """One bar per piece of work; a finished one keeps its time. Trainings fill the table's cells where there is one."""

    def __init__(self, bars: _BarsAndTable) -> None:
        self.bars, self.tasks, self.began = bars, dict[str, TaskID](), dict[tuple[str, int], float]()

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        training = re.fullmatch(r"train (\S+) seed (\d+)", what)
        if training and self.bars.cells:
            self.fill((training[1], int(training[2])), done / max(total, 1), note)
            return
        what, note = escape_line(what), escape_line(note)
        if what not in self.tasks:
            self.tasks[what] = self.bars.add_task(what, total=total, note=note)
        self.bars.update(self.tasks[what], completed=done, total=total, note=note)

    def fill(self, cell: tuple[str, int], share: float, note: str) -> None:
        """Show in a cell how far its training is (share of 1), or how it ended."""
        now = time.monotonic()
        end = f"[green]✓[/] [dim]{now - self.began[cell]:.0f} s[/]" if cell in self.began else "[green]✓[/]"
        end = "[red]failed[/]" if note.startswith(FAILED) else end
        self.began.setdefault(cell, now)
        self.bars.cells = {**self.bars.cells, cell: end if share >= 1 else f"{share:.0%}"}


class ProgressLines:
    """Prints one line per tenth of each piece of work, with the seconds since the start and those that are left."""

    def __init__(self, console: Console) -> None:
        self.console, self.start, self.printed_share = console, time.monotonic(), dict[str, float]()
        self.first: dict[str, tuple[int, float]] = {}
        """Piece of work -> the first number of steps that was reported done, and when."""

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        share, now = done / max(total, 1), time.monotonic()
        done_at_first, began = self.first.setdefault(what, (done, now))
        before = self.printed_share.get(what)
        if before is not None and share < 1.0 and share - before < SHARE_PER_LINE:
            return
        if before == 1.0 and share == 1.0:
            return
        self.printed_share[what] = share
        text = f"[{now - self.start:6.1f} s] {what} {done}/{total}" + (f" · {note}" if note else "")
        if done_at_first < done < total:
            text += f" · {(now - began) / (done - done_at_first) * (total - done):.0f} s left"
        print_line(self.console, escape_line(text))
