"""Limit the memory and time of a reader in a sandboxed process. The kernel enforces the limits.

The limits grow with the size of data whose header was checked, so that a small file never gets much.
"""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SECONDS_PER_BYTE = 5e-7  # eight times the time of JPEG 2000, the slowest codec, on one core
_UPDATE_SHARE = 1 / 16  # of the budget: smaller changes are not passed to the kernel one by one
_WAITING_PER_SECOND = 10  # seconds of wall time for one of computing, on a busy machine


@dataclass(frozen=True)
class ReaderBudget:
    """Resources of one case, in addition to what `grow_limits` adds.

    Attributes:
        memory: Bytes.
        computing: Processor seconds.
        waiting: Seconds of wall time.
    """

    memory: int = 1 << 30
    computing: float = 60.0
    waiting: float = 600.0


class _Limits:
    def __init__(self, budget: ReaderBudget, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._own = budget.memory
        self.memory = _mapped_bytes() + budget.memory
        self.computing = time.process_time() + budget.computing
        self.waiting = time.monotonic() + budget.waiting
        self._keep()

    def grow(self, size: int) -> None:
        seconds = size * _SECONDS_PER_BYTE
        self.memory, self.computing = self.memory + size, self.computing + seconds
        self.waiting += _WAITING_PER_SECOND * seconds
        self._tell(self.waiting)
        self._owed += size
        if self._owed > _UPDATE_SHARE * self._own:
            self._keep()

    def _keep(self) -> None:
        self._owed = 0
        _set_soft_limit(resource.RLIMIT_AS, self.memory)
        _set_soft_limit(resource.RLIMIT_CPU, int(self.computing) + 1)
        signal.setitimer(signal.ITIMER_REAL, max(self.waiting - time.monotonic(), 1e-3))


_limits: _Limits | None = None


@contextmanager
def resource_limits(budget: ReaderBudget, tell: Callable[[float], None] = lambda deadline: None) -> Iterator[None]:
    """Keep this process within a budget.

    More memory than allowed raises MemoryError; more time ends the process by SIGXCPU or SIGALRM.

    Args:
        budget: The limits.
        tell: Called with each new deadline (`time.monotonic`), for the process that waits: kernel timers do not run
            while this process is stopped or waits for a disk.
    """
    global _limits
    _limits = _Limits(budget, tell)
    try:
        yield
    finally:
        _limits = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        _set_soft_limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
        _set_soft_limit(resource.RLIMIT_CPU, resource.RLIM_INFINITY)


def grow_limits(size: int) -> None:
    """Allow the running reader `size` more bytes, and the time to fill them; in other processes nothing happens.

    Readers call it after they have checked the size that a header states against the size of the file.
    """
    if _limits is not None:
        _limits.grow(size)


def _set_soft_limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bounds = [bound for bound in (limit, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min(bounds, default=resource.RLIM_INFINITY), hard))


def _mapped_bytes() -> int:
    """Return the bytes of memory that this process has mapped, 0 if the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0
