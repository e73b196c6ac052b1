"""Keep the time limit of a sandboxed process from outside, whatever has become of that process.

A process keeps its own limits by timers of the kernel (`xmed.io.sandbox.limits`). These stand still where the process
is stopped, and do nothing while it waits in the kernel for a disk or a network. So the process that asked checks too.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

GRACE_SECONDS = 3.0
"""Beyond a deadline: for the kernel's own timer, and for an answer that is on its way."""
STOPPED_SECONDS = 20.0
"""How long a process may stand stopped (SIGSTOP): longer than the signal of a batch system that moves jobs about."""
LOOK_SECONDS = 0.25


class Deadline:
    """A moment (time.monotonic, which all processes of a machine share) in memory that two processes share."""

    def __init__(self, memory: int) -> None:
        self._shared = mmap.mmap(memory, mmap.PAGESIZE)

    @classmethod
    def create(cls) -> tuple[Deadline, int]:
        """A new one, and the descriptor by which another process opens it."""
        memory = os.memfd_create("xmed-deadline")
        os.ftruncate(memory, mmap.PAGESIZE)
        return cls(memory), memory

    def set(self, moment: float) -> None:
        self._shared[:8] = struct.pack("d", moment)

    def __call__(self) -> float:
        return float(struct.unpack("d", self._shared[:8])[0])


class DeadlineWatcher:
    """Looks after all waits of a process, in one thread that is there while somebody waits."""

    def __init__(self) -> None:
        self._alone, self._waits = threading.Lock(), dict[int, tuple[int, Deadline, Callable[[], None]]]()
        self._next = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, pid: int, deadline: Deadline, give_up: Callable[[], None]) -> Iterator[None]:
        """Within the block `give_up` is called, in another thread, once process `pid` is overdue or stays stopped."""
        with self._alone:
            self._next += 1
            wait = self._next
            self._waits[wait] = pid, deadline, give_up
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._alone:
                self._waits.pop(wait, None)

    def _look(self) -> None:
        stopped: dict[int, float] = {}
        idle_since = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            with self._alone:
                waits = dict(self._waits)
                if not waits and now - idle_since > 10 * LOOK_SECONDS:
                    self._thread = None
                    return
            idle_since = now if waits else idle_since
            stopped = {
                wait: stopped.get(wait, now) for wait, (pid, _, _) in waits.items() if process_state(pid) in ("T", "t")
            }
            for wait, (_, deadline, give_up) in waits.items():
                if now > deadline() + GRACE_SECONDS or now - stopped.get(wait, now) > STOPPED_SECONDS:
                    with self._alone:
                        at_it = self._waits.pop(wait, None)
                    if at_it:
                        give_up()


def process_state(pid: int) -> str:
    """The state of a process as /proc/PID/stat names it: T is stopped, D waits in the kernel; empty: it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
