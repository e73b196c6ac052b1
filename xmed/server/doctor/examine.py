"""Runs the doctor's checks in their order; a check that cannot be run is a finding too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from xmed.server.doctor import databases, leftovers, machine
from xmed.server.doctor.check import Check


def examine(home: Path, fix: bool = False) -> list[Check]:
    """Check this machine and a home.

    Args:
        home: The home.
        fix: Whether to repair what can be repaired; without it nothing is written.
    """
    checks: list[Callable[[], Iterator[Check]]] = [
        machine.check_python,
        machine.check_packages,
        machine.check_device,
        lambda: machine.check_disk(home),
        lambda: machine.check_cache(home),
        lambda: machine.check_precision(home),
        lambda: machine.check_place(home, fix),
        lambda: machine.check_privacy(home, fix),
        lambda: databases.check_databases(home),
        lambda: leftovers.check_locks(home, fix),
        lambda: leftovers.check_tracked_runs(home, fix),
        lambda: leftovers.check_flow_runs(home, fix),
        lambda: leftovers.check_runs(home),
        lambda: leftovers.check_versions(home),
        lambda: leftovers.check_audit_log(home),
        lambda: leftovers.check_quarantine(home),
    ]
    findings: list[Check] = []
    for check in checks:
        try:
            findings += check()
        except Exception as problem:  # a fault of one check must not hide the other findings
            findings.append(Check("check", False, f"{type(problem).__name__}: {problem}"))
    return findings
