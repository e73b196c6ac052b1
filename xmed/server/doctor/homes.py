"""Homes: is a home where its own databases say that it is, and can nobody else read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xmed.files.permissions import GROUP, close_to_others, make_private_home, readable_by_others
from xmed.registry.relocation import elsewhere, relocate
from xmed.server.doctor.check import Check
from xmed.server.moved_schedules import bring_schedules, schedules_elsewhere

HOW_TO_FIX = "`xmed doctor --fix` puts it right"
SHOWN = 3


def place(home: Path, fix: bool) -> Iterator[Check]:
    """A home that was moved or copied: its registry and its schedules still name where they were."""
    found = sorted({str(one) for one in elsewhere(home)} | set(schedules_elsewhere(home)))
    if fix:
        relocate(home)
        bring_schedules(home)
    told = f"its registry or its schedules lie in {', '.join(found)}: it was moved, or copied; "
    yield Check("home", not found or fix, told + ("put right" if fix else HOW_TO_FIX) if found else f"{home}")


def privacy(home: Path, fix: bool) -> Iterator[Check]:
    """Files and folders that other accounts of this machine may read, or write to."""
    open_ = [path.relative_to(home).as_posix() for path in readable_by_others(home)]
    if fix and open_:
        make_private_home(home)
        close_to_others(home, home)
    some = ", ".join(open_[:SHOWN]) + (" …" if len(open_) > SHOWN else "")
    told = f"others may read or write {len(open_)} files and folders ({some}); " + ("closed" if fix else HOW_TO_FIX)
    yield Check("privacy", not open_ or fix, told if open_ else f"for its owner alone, or the group of {GROUP}")
