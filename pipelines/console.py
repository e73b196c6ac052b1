"""Console: how far long work is, as a bar on a terminal and as plain lines elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Report = Callable[[str, int, int, str], None]
"""(what, done, total, note): the shape every library function reports progress in."""

STEPS_PER_LINE = 0.1  # without a terminal: one line per tenth of the work
_current: ContextVar[Report | None] = ContextVar("progress", default=None)


def report(what: str, done: int, total: int, note: str = "") -> None:
    """Pass progress on to whatever shows it at present; to nothing, under a Prefect worker."""
    show = _current.get()
    if show is not None:
        show(what, done, total, note)


@contextmanager
def progress(console: Console) -> Iterator[None]:
    """Show what `report` is told, for the time of the block."""
    if not console.is_terminal:
        with _shown_by(_Lines(console)):
            yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("[dim]{task.fields[note]}"), console=console) as bars, _shown_by(_Bars(bars)):
        yield


@contextmanager
def _shown_by(show: Report) -> Iterator[None]:
    token = _current.set(show)
    try:
        yield
    finally:
        _current.reset(token)


class _Bars:
    """One bar per piece of work; a finished one keeps its time."""

    def __init__(self, bars: Progress) -> None:
        self.bars, self.tasks = bars, dict[str, TaskID]()

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bars.add_task(what, total=total, note=note)
        self.bars.update(self.tasks[what], completed=done, total=total, note=note)


class _Lines:
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
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
