"""Pass progress from a process that trains to the process that shows it."""

from __future__ import annotations

import time
from collections.abc import Callable

Note = tuple[str, int, int, str]
"""(what, done, total, note), as in `xmed.files.progress.Progress`."""


class Relay:
    """Passes on at most about two notes a second, and the last one.

    Args:
        send: Called with each note that is passed on.
    """

    def __init__(self, send: Callable[[Note], None]) -> None:
        self.send, self.last = send, 0.0

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        if done == total or time.monotonic() - self.last > 0.5:
            self.send((what, done, total, note))
            self.last = time.monotonic()
