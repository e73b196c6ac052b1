"""Termination: a training that is asked to end saves after the step it is in; whoever is in none can end at once."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
"""prctl(2)."""
_asked, _busy = threading.Event(), threading.Event()
_received: list[int] = []


def ask() -> bool:
    """Ask the training of this process to save and to end; False where there is none."""
    if _busy.is_set():
        _asked.set()
    return _busy.is_set()


def asked() -> bool:
    """Whether this process's training should save, and raise KeyboardInterrupt."""
    return _asked.is_set()


@contextmanager
def heeding() -> Iterator[None]:
    """Within the block `asked` is looked at after every step."""
    _asked.clear()
    _busy.set()
    try:
        yield
    finally:
        _busy.clear()


def heed_as_worker() -> None:
    """In a worker process: SIGTERM and SIGINT ask, and it does not outlive whoever started it."""

    def stop(number: int, frame: object) -> None:
        del number, frame
        if not ask():
            raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    end_with_parent()


def end_with_parent() -> None:
    """A process of a pool ends when the one that started it was killed; where it is stopped, too (Linux).

    Else it would train on beside the next run, which goes on from its checkpoint. The kernel takes the end of the
    thread that started it for the parent's death, so that thread must stay for as long as the pool does.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_wait_for_parent, daemon=True).start()  # what the kernel does not tell, or told too early


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block SIGTERM does what Ctrl-C does: trainings save and end, and nobody waits for workers in vain."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        del frame
        _received.append(number)
        for child in multiprocessing.active_children():
            if "Manager" not in child.name:  # through it the others still say how far they are
                child.terminate()
        if not ask() or len(_received) > 1:  # a training in this very process raises by itself, when it has saved
            raise KeyboardInterrupt

    _received.clear()
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ended_by() -> int:
    """The number of the last signal that asked this process to end: SIGINT where there was none."""
    return _received[-1] if _received else signal.SIGINT
