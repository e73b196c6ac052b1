"""Stop: a training that is asked to end saves after the step it is in; whoever is in none can end at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_asked, _busy = threading.Event(), threading.Event()


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
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Else it would train on after its parent was killed, beside the next run that goes on from its checkpoint."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
