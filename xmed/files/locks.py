"""Locks between processes: a file that one process holds at a time, and what it says about the holder.

The lock is the kernel's (flock): it ends with the process that holds it, kill -9 included. The text in the file says
who holds it. Text in the file of a lock that nobody holds means that the holder was killed. Over NFS this needs the
lock service that Linux clients have had since 2.6.12.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xmed.errors import XmedError

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
LockOwner = dict[str, Any]
"""pid, host, since (ISO 8601, UTC), what: the work that is done, and further facts that the holder gave."""


@contextmanager
def hold_lock(
    path: Path, wait: bool = True, on_wait: Callable[[str], None] | None = None, **about: Any
) -> Iterator[None]:
    """Hold a lock for the time of the block; for work of any length.

    Args:
        path: The lock's file; it is made, and stays when the lock is released.
        wait: Whether to wait until the lock is free.
        on_wait: Called with a description of the holder each time the lock is found held.
        **about: What to write down about the holder, at least `what`: the work that is done.

    Raises:
        XmedError: BUSY, where somebody holds the lock and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        while not _try_lock(file.fileno()):
            holder = _describe_owner(file.read() if file.seek(0) == 0 else "")
            if not wait:
                raise XmedError("BUSY", f"{path.name} is held by {holder}", "nobody at it", "wait, or end that process")
            if on_wait:
                on_wait(holder)
            time.sleep(POLL_SECONDS)
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(), **about}
        _overwrite(file.fileno(), json.dumps(owner))
        try:
            yield
        finally:
            _overwrite(file.fileno(), "")  # empty: the holder released it and was not killed


@contextmanager
def hold_short_lock(path: Path, poll_seconds: float = 0.01) -> Iterator[None]:
    """Hold a lock for the time of the block; for work of seconds at most, which many processes may queue for.

    Args:
        path: The lock's file; its folder must exist.
        poll_seconds: How often to look whether the lock is free.

    Raises:
        XmedError: BUSY, where one holder has kept the lock for PATIENCE_SECONDS. However many wait, patience starts
            again each time somebody gets the lock.
    """
    with path.open("a+", encoding="utf-8") as file:
        last_taken, until = None, time.monotonic() + PATIENCE_SECONDS
        while not _try_lock(file.fileno()):
            time.sleep(poll_seconds)
            if time.monotonic() > until:
                before, last_taken = last_taken, path.stat().st_mtime_ns
                if before == last_taken:
                    what = f"another process has held {path} for {PATIENCE_SECONDS:.0f} s or more"
                    raise XmedError("BUSY", what, "a lock held for seconds", "see what is running, then try again")
                until = time.monotonic() + PATIENCE_SECONDS
        os.utime(path)  # tells those who wait that the queue moves
        yield


def lock_owner(path: Path) -> tuple[LockOwner | None, bool]:
    """Read who stands in a lock's file, and whether the lock is held; nothing is written.

    Returns:
        The owner, or None where the lock was released or never held; and whether somebody holds it now.
    """
    try:
        with path.open(encoding="utf-8") as file:
            is_free = _try_lock(file.fileno())
            text = file.read()
    except FileNotFoundError:
        return None, False
    try:
        return (json.loads(text) if text else None), not is_free
    except ValueError:  # the holder was killed, or is at work, between emptying the file and filling it
        return {"what": "somebody who had not said who"}, not is_free


def clear_lock(path: Path) -> bool:
    """Delete what a killed holder left in a lock's file; returns False where the lock is held."""
    with path.open("a+", encoding="utf-8") as file:
        is_free = _try_lock(file.fileno())
        if is_free:
            _overwrite(file.fileno(), "")
    return is_free


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _overwrite(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, text.encode())  # the file was opened to append: this lands at its beginning
    os.fsync(descriptor)


def _describe_owner(text: str) -> str:
    try:
        owner = json.loads(text)
        return f"process {owner['pid']} on {owner['host']}, since {owner['since'][:19]}Z: {owner.get('what', '')}"
    except (ValueError, KeyError):
        return "another process"
