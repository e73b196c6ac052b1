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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from xmed.errors import XmedError

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class LockOwner:
    """What a lock's file says about the process that holds the lock, or was killed while it held it.

    Attributes:
        pid: Its process id; None where the file does not say it.
        host: Its machine.
        since: When it got the lock, ISO 8601, UTC.
        what: The work that is done.
        url: URL of the server that the process runs, where it is one.
    """

    pid: int | None = None
    host: str = ""
    since: str = ""
    what: str = ""
    url: str | None = None


@contextmanager
def hold_lock(
    path: Path, wait: bool = True, on_wait: Callable[[str], None] | None = None, what: str = "", url: str | None = None
) -> Iterator[None]:
    """Hold a lock for the time of the block; for work of any length.

    Args:
        path: The lock's file; it is made, and stays when the lock is released.
        wait: Whether to wait until the lock is free.
        on_wait: Called with a description of the holder each time the lock is found held.
        what: The work that is done, to be written down.
        url: URL of the server that this process runs, to be written down.

    Yields:
        Nothing.

    Raises:
        XmedError: BUSY, where somebody holds the lock and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        while not _try_lock(file.fileno()):
            holder = _describe_owner(_parse_owner(file.read() if file.seek(0) == 0 else ""))
            if not wait:
                raise XmedError("BUSY", f"{path.name} is held by {holder}", "nobody at it", "wait, or end that process")
            if on_wait:
                on_wait(holder)
            time.sleep(POLL_SECONDS)
        owner = LockOwner(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(), what, url)
        fields = {name: value for name, value in asdict(owner).items() if value}
        _overwrite(file.fileno(), json.dumps(fields))
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

    Yields:
        Nothing.

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

    Args:
        path: The lock's file; it may not exist.

    Returns:
        The owner, or None where the lock was released or never held; and whether somebody holds it now.
    """
    try:
        with path.open(encoding="utf-8") as file:
            is_free = _try_lock(file.fileno())
            text = file.read()
    except FileNotFoundError:
        return None, False
    if not text:
        return None, not is_free
    # No owner: the holder was killed, or is at work, between emptying the file and filling it.
    return _parse_owner(text) or LockOwner(what="somebody who had not said who"), not is_free


def clear_lock(path: Path) -> bool:
    """Delete what a killed holder left in a lock's file.

    Args:
        path: The lock's file.

    Returns:
        False where the lock is held; then nothing was deleted.
    """
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


def _parse_owner(text: str) -> LockOwner | None:
    """The owner in the text of a lock's file; None where the text is damaged."""
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    pid, url = fields.get("pid"), fields.get("url")
    host, since, what = (str(fields.get(name, "")) for name in ("host", "since", "what"))
    return LockOwner(pid if isinstance(pid, int) else None, host, since, what, url if isinstance(url, str) else None)


def _describe_owner(owner: LockOwner | None) -> str:
    if owner is None or owner.pid is None:
        return "another process"
    return f"process {owner.pid} on {owner.host}, since {owner.since[:19]}Z: {owner.what}"
