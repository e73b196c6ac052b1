"""Enforce the time limit of a sandboxed process from outside.

A process enforces its own limits by kernel timers (`xmed.io.sandbox.limits`). These timers do not run while the process
is stopped, and have no effect while it waits in the kernel for a disk or a network. The calling process therefore
checks the deadline as well.
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
"""Time after the deadline that is left for the kernel timer and for an answer that was just sent."""
STOPPED_SECONDS = 20.0
"""How long a process may be stopped (SIGSTOP). Batch systems stop jobs for a shorter time when they move them."""
LOOK_SECONDS = 0.25
"""Interval between two checks."""


class Deadline:
    """A point in time, of `time.monotonic`, in memory that two processes share."""

    def __init__(self, memory: int) -> None:
        self._shared = mmap.mmap(memory, mmap.PAGESIZE)

    @classmethod
    def create(cls) -> tuple[Deadline, int]:
        """Create a deadline; also return the descriptor with which another process opens it."""
        memory = os.memfd_create("xmed-deadline")
        os.ftruncate(memory, mmap.PAGESIZE)
        return cls(memory), memory

    def set(self, moment: float) -> None:
        """Set the deadline to a point of `time.monotonic`, which all processes of a machine share."""
        self._shared[:8] = struct.pack("d", moment)

    def __call__(self) -> float:
        """Return the point in time."""
        return float(struct.unpack("d", self._shared[:8])[0])


class DeadlineWatcher:
    """Check the deadlines of all sandboxed processes in one thread, which runs while any of them works."""

    def __init__(self) -> None:
        self._alone, self._waits = threading.Lock(), dict[int, tuple[int, Deadline, Callable[[], None]]]()
        self._next = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, pid: int, deadline: Deadline, give_up: Callable[[], None]) -> Iterator[None]:
        """Within the block, call `give_up` if process `pid` passes its deadline or stays stopped.

        `give_up` is called in the thread of the watcher, at most once.
        """
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
        """Check all deadlines until no process has worked for a while."""
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
    """Return the state letter of a process from /proc/PID/stat (T stopped, D waiting in the kernel), "" if it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
