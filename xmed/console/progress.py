"""Progress: how far long work is, as a bar on a terminal and as plain lines elsewhere; always on stderr."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from xmed.console.printable import one_line

Report = Callable[[str, int, int, str], None]
"""(what, done, total, note): the shape every library function reports progress in."""

FAILED = "failed: "
"""How the note of a training begins that did not come to its end."""
PIPED_WIDTH = 160  # a table in a file or a cron mail need not be folded at 80 columns
STEPS_PER_LINE = 0.1  # without a terminal: one line per tenth of the work
_current: ContextVar[Report | None] = ContextVar("progress", default=None)


def report(what: str, done: int, total: int, note: str = "") -> None:
    """Pass progress on to whatever shows it at present; to nothing, under a Prefect worker."""
    show = _current.get()
    if show is not None:
        show(what, done, total, note)


def lay_out(rows: Sequence[str], columns: Sequence[int]) -> None:
    """On a terminal, show trainings in one table from here on: a line per arm, a column per seed."""
    show = _current.get()
    if isinstance(show, _Bars):
        show.bars.cells = {(row, column): "·" for row in rows for column in columns}


@contextmanager
def progress(console: Console) -> Iterator[None]:
    """Show what `report` is told, for the time of the block."""
    if not console.is_terminal:
        with shown_by(Lines(console)):
            yield
        return
    named = TextColumn("{task.description}", markup=False)
    noted = TextColumn("{task.fields[note]}", style="dim", markup=False)
    with (
        _Display(named, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), noted, console=console) as bars,
        shown_by(_Bars(bars)),
    ):
        yield


@contextmanager
def shown_by(show: Report) -> Iterator[None]:
    token = _current.set(show)
    try:
        yield
    finally:
        _current.reset(token)


class _Display(Progress):
    """Bars, and above them the table of trainings where one is laid out."""

    cells: Mapping[tuple[str, int], str] = {}

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.cells:
            columns = list(dict.fromkeys(column for _, column in self.cells))
            grid = Table("", *(f"seed {column}" for column in columns), box=None, pad_edge=False, header_style="bold")
            for row in dict.fromkeys(row for row, _ in self.cells):
                cells = (Text.from_markup(self.cells.get((row, column), "")) for column in columns)
                grid.add_row(Text(one_line(row)), *cells)
            yield grid
        yield from super().get_renderables()


class _Bars:
    """One bar per piece of work; a finished one keeps its time. Trainings fill the table's cells where there is one."""

    def __init__(self, bars: _Display) -> None:
        self.bars, self.tasks, self.began = bars, dict[str, TaskID](), dict[tuple[str, int], float]()

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        named = re.fullmatch(r"train (\S+) seed (\d+)", what)
        if named and self.bars.cells:
            self.fill((named[1], int(named[2])), done / max(total, 1), note)
            return
        what, note = one_line(what), one_line(note)
        if what not in self.tasks:
            self.tasks[what] = self.bars.add_task(what, total=total, note=note)
        self.bars.update(self.tasks[what], completed=done, total=total, note=note)

    def fill(self, cell: tuple[str, int], share: float, note: str) -> None:
        now = time.monotonic()
        over = f"[green]✓[/] [dim]{now - self.began[cell]:.0f} s[/]" if cell in self.began else "[green]✓[/]"
        over = "[red]failed[/]" if note.startswith(FAILED) else over
        self.began.setdefault(cell, now)
        self.bars.cells = {**self.bars.cells, cell: over if share >= 1 else f"{share:.0%}"}


class Lines:
    """One line per tenth of each piece of work, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self.console, self.start, self.said = console, time.monotonic(), dict[str, float]()

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        share = done / max(total, 1)
        before = self.said.get(what)
        if before is not None and share < 1.0 and share - before < STEPS_PER_LINE:
            return
        if before == 1.0 and share == 1.0:
            return
        self.said[what] = share
        seconds = time.monotonic() - self.start
        text = f"[{seconds:6.1f} s] {what} {done}/{total}" + (f" · {note}" if note else "")
        self.console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)
