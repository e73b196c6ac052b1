"""Processes as the kernel's table shows them (Linux): who descends from one, and which of them are still alive."""

from collections.abc import Iterable
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Every process that descends from one."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, more = set(), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def alive(pids: Iterable[int]) -> list[tuple[int, str]]:
    """Which of these processes are alive, with the kernel's letter for their state; zombies do not count."""
    living = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            living.append((pid, state))
    return living
