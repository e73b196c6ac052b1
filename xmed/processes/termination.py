"""Termination: a training that is asked to stop saves after the current step; other processes end at once."""

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
"""Option of prctl(2): the signal that a process gets when its parent ends."""
_asked, _busy = threading.Event(), threading.Event()
_received: list[int] = []


def ask_to_stop() -> bool:
    """Ask the training of this process to save and stop; returns whether there is one."""
    if _busy.is_set():
        _asked.set()
    return _busy.is_set()


def stop_requested() -> bool:
    """Tell whether the training of this process should save its state and raise KeyboardInterrupt.

    Returns:
        Whether it was asked to stop.
    """
    return _asked.is_set()


@contextmanager
def stoppable_training() -> Iterator[None]:
    """Mark a block in which a training checks `stop_requested` after every step.

    Yields:
        Nothing.
    """
    _asked.clear()
    _busy.set()
    try:
        yield
    finally:
        _busy.clear()


def prepare_worker() -> None:
    """Prepare a worker process: SIGTERM and SIGINT ask it to stop, and it ends with its parent."""

    def stop(number: int, frame: object) -> None:
        del number, frame
        if not ask_to_stop():
            raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    end_with_parent()


def end_with_parent() -> None:
    """End this pool process when its parent is killed, also while it is stopped (Linux).

    Otherwise it would continue to train beside the next run, which resumes from its checkpoint. The kernel counts the
    end of the thread that started it as the parent's death, so that this thread must live as long as the pool.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_wait_for_parent, daemon=True).start()  # if the kernel does not signal


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM act like Ctrl-C within the block: trainings save and stop, and workers are terminated.

    Yields:
        Nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        del frame
        _received.append(number)
        for child in multiprocessing.active_children():
            if "Manager" not in child.name:  # the other workers report their progress through it
                child.terminate()
        if (
            not ask_to_stop() or len(_received) > 1
        ):  # a training in this very process raises by itself, when it has saved
            raise KeyboardInterrupt

    _received.clear()
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def last_signal() -> int:
    """Tell which signal asked this process to end.

    Returns:
        The number of the last one; SIGINT if there was none.
    """
    return _received[-1] if _received else signal.SIGINT
