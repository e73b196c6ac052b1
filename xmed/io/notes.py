"""Keep a record of what a reader repaired, so that no repair is silent."""

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
    """One repair.

    Attributes:
        code: One of `xmed.errors.NOTES`.
        text: What was found and what was done, with numbers and without names of persons.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return f"note[{self.code}]: {self.text}"


class RepairWarning(UserWarning):
    """Warning for a repair that is made outside of `collect_notes`."""


_collector: ContextVar[list[Note] | None] = ContextVar("notes", default=None)


def add_note(code: str, text: str) -> None:
    """Record a repair once; outside of `collect_notes` it becomes a Python warning.

    Args:
        code: One of `xmed.errors.NOTES`.
        text: What was found and what was done.

    Raises:
        KeyError: For a code that `xmed.errors.NOTES` does not list.
    """
    NOTES[code]
    new_note, notes = Note(code, text), _collector.get()
    if notes is None:
        warnings.warn(str(new_note), RepairWarning, stacklevel=2)
    elif new_note not in notes:
        notes.append(new_note)


@contextmanager
def collect_notes() -> Iterator[list[Note]]:
    """Collect the notes that readers make in the block, also if it ends with an error.

    Yields:
        The list that is filled while the block runs.
    """
    notes: list[Note] = []
    token = _collector.set(notes)
    try:
        yield notes
    finally:
        _collector.reset(token)


@contextmanager
def merge_similar_notes() -> Iterator[None]:
    """Pass on the notes of the block at its end; notes that differ only in numbers become one.

    Warnings of other libraries are suppressed, because what matters of them is recorded as a note.
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
