"""Checks of a home: is it where its own databases say, and can nobody else read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xmed.files.permissions import GROUP, close_to_others, make_private_home, readable_by_others
from xmed.registry.relocation import elsewhere, relocate
from xmed.server.doctor.check import HOW_TO_FIX, Check, repairable
from xmed.server.moved_schedules import correct_schedules, schedules_elsewhere

SHOWN = 3


def check_place(home: Path, fix: bool) -> Iterator[Check]:
    """Check whether a home was moved or copied: its registry and its schedules then name the old folder."""
    old_homes = sorted({str(path) for path in elsewhere(home)} | set(schedules_elsewhere(home)))
    if fix:
        relocate(home)
        correct_schedules(home)
    names = ", ".join(old_homes)
    problem = f"its registry or its schedules lie in {names}: it was moved, or copied" if old_homes else ""
    yield repairable("home", problem, fix, f"{home}", "put right", HOW_TO_FIX)


def check_privacy(home: Path, fix: bool) -> Iterator[Check]:
    """Check for files and folders that other accounts of this machine may read or write."""
    open_paths = [path.relative_to(home).as_posix() for path in readable_by_others(home)]
    if fix and open_paths:
        make_private_home(home)
        close_to_others(home, home)
    examples = ", ".join(open_paths[:SHOWN]) + (" …" if len(open_paths) > SHOWN else "")
    problem = f"others may read or write {len(open_paths)} files and folders ({examples})" if open_paths else ""
    yield repairable("privacy", problem, fix, f"for its owner alone, or the group of {GROUP}", how=HOW_TO_FIX)
