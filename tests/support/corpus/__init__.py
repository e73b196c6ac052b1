"""Corpus: the bad-input table as files, one small function for each row, and what xmed must answer to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Literal

Outcome = Literal["error", "quarantine", "fixed", "ok"]
Make = Callable[[Path], Path | None]


@dataclass(frozen=True)
class Row:
    """One row of the table, or one of several files that a row speaks of.

    number: of the row. outcome: error and quarantine need a refusal with one of `codes`; fixed needs volumes and a note
    with one of `codes` (any, where it names none); ok needs volumes. make: writes the files into an empty folder and
    returns what a user would hand to xmed: a file, or None for the folder. label: the label file beside it, relative to
    the folder, for rows that speak of labels. volumes: how many image volumes come out; where several do, inspect lists
    them and ingest must be told which one is meant.
    """

    number: int
    outcome: Outcome
    codes: tuple[str, ...]
    make: Make
    modality: str = "MR"
    label: str | None = None
    volumes: int = 1

    @property
    def name(self) -> str:
        return f"{self.number:02}-{self.make.__name__}"

    @property
    def what(self) -> str:
        """The function's docstring: what is wrong with the files."""
        return (self.make.__doc__ or "").strip().splitlines()[0]


ROWS: list[Row] = []


def row(
    number: int, outcome: Outcome, *codes: str, modality: str = "MR", label: str | None = None, volumes: int = 1
) -> Callable[[Make], Make]:
    """Register a function `make(folder)` for a row; the folder is the registry, see `rows`."""

    def register(make: Make) -> Make:
        ROWS.append(Row(number, outcome, codes, make, modality, label, volumes))
        return make

    return register


def rows() -> list[Row]:
    """Every row that the modules of this package register, by number."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return sorted(ROWS, key=lambda found: (found.number, found.make.__name__))
