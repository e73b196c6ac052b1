"""Examine: every check in its order; one that fails to run is a finding too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from xmed.server.doctor import databases, homes, leftovers, machine
from xmed.server.doctor.check import Check

__all__ = ["Check", "examine"]


def examine(home: Path, fix: bool = False) -> list[Check]:
    """Every check of this machine and of a home. Nothing is written, unless what is left over should be put right."""
    checks: list[Callable[[], Iterator[Check]]] = [
        machine.python,
        machine.packages,
        machine.device,
        lambda: machine.disk(home),
        lambda: homes.place(home, fix),
        lambda: homes.privacy(home, fix),
        lambda: databases.databases(home),
        lambda: leftovers.locks(home, fix),
        lambda: leftovers.tracked(home, fix),
        lambda: leftovers.flow_runs(home, fix),
        lambda: leftovers.runs(home),
        lambda: leftovers.versions(home),
        lambda: leftovers.audited(home),
        lambda: leftovers.quarantine(home),
    ]
    found: list[Check] = []
    for check in checks:
        try:
            found += check()
        except Exception as problem:  # the doctor's own fault must not hide the other findings
            found.append(Check("check", False, f"{type(problem).__name__}: {problem}"))
    return found
