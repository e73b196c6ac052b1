"""Notes: what a reader put right by itself, on record, so that nothing is repaired in silence."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from xmed.errors import NOTES


@dataclass(frozen=True, order=True)
class Note:
    """One repair. code: from `xmed.errors.NOTES`. text: what was found and done, in numbers, naming no person."""

    code: str
    text: str

    def __str__(self) -> str:
        return f"note[{self.code}]: {self.text}"


class RepairWarning(UserWarning):
    """A note that nobody collects, for whoever calls a reader directly."""


_collector: ContextVar[list[Note] | None] = ContextVar("notes", default=None)


def add_note(code: str, text: str) -> None:
    """Record a repair, once; outside of `collect_notes` it becomes a Python warning.

    Raises KeyError for a code that `xmed.errors.NOTES` does not list.
    """
    NOTES[code]
    new_note, notes = Note(code, text), _collector.get()
    if notes is None:
        warnings.warn(str(new_note), RepairWarning, stacklevel=2)
    elif new_note not in notes:
        notes.append(new_note)


@contextmanager
def collect_notes() -> Iterator[list[Note]]:
    """The notes that readers make while the block runs, also when it ends in an error."""
    notes: list[Note] = []
    token = _collector.set(notes)
    try:
        yield notes
    finally:
        _collector.reset(token)


@contextmanager
def merge_similar_notes() -> Iterator[None]:
    """What readers note while the block runs is said at its end, and what differs in numbers alone is said once.

    Warnings of the libraries beneath are left out: what matters of them is a note.
    """
    notes: list[Note] = []
    try:
        with warnings.catch_warnings(), collect_notes() as notes:
            warnings.simplefilter("ignore")
            yield
    finally:
        similar: dict[tuple[str, str], list[Note]] = {}
        for recorded in notes:
            similar.setdefault((recorded.code, re.sub(r"[-+]?\d[\d.]*", "#", recorded.text)), []).append(recorded)
        for first, *others in similar.values():
            add_note(first.code, first.text + (f" (and {len(others)} more like this)" if others else ""))
