"""Limits: the memory and time of the reader at work in a guarded process, kept by the kernel.

The kernel stops also what never looks up. Memory follows what was checked: a small file never gets much.
"""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SECONDS_PER_BYTE = 5e-7  # of memory: eight times what JPEG 2000, the slowest codec, takes to fill one on one core
_UPDATE_SHARE = 1 / 16  # of a case's own budget: so much more is not worth telling the kernel, file by file
_WAITING_PER_SECOND = 10  # seconds of waiting for one of computing, on a machine that does nine other things


@dataclass(frozen=True)
class ReaderBudget:
    """What one case may use beside what `grow_limits` adds: bytes of memory, seconds of computing, and of waiting."""

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
    """Keep this process within a budget: MemoryError beyond its memory, death by SIGXCPU or SIGALRM beyond its time.

    tell: told of each new deadline (time.monotonic) for whoever waits: the kernel's timers stand still with a process
    that is stopped, or that waits for a disk which does not answer.
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
    """Let the reader at work use `size` more bytes, and the time to fill them; nothing happens in any other process.

    For readers to call once the claim of a header has been checked against the bytes there are.
    """
    if _limits is not None:
        _limits.grow(size)


def _set_soft_limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    known = [bound for bound in (limit, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min(known, default=resource.RLIM_INFINITY), hard))


def _mapped_bytes() -> int:
    """Bytes of memory that this process has mapped; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0
