"""Run lock: one run at a time in a home and on a GPU; whoever comes second waits, and is told for whom.

The lock is the kernel's (flock): it ends with the process that holds it, kill -9 included. What stands in the file says
who holds it; where something stands in it and nobody holds it, the holder was killed. Over NFS this needs the lock
service that Linux clients have had since 2.6.12.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xmed.console.progress import report
from xmed.errors import XmedError

LOOK_AGAIN_SECONDS = 0.5
Owner = dict[str, Any]
"""pid, host, since (ISO 8601, UTC), what: and whatever else the holder of a lock wants known."""


@contextmanager
def turn(home: Path, what: str, devices: int = 1) -> Iterator[None]:
    """Hold this home, and so many GPUs where there are any, for the time of the block; wait for all of them first."""
    with ExitStack() as held:
        for path in (run_lock(home), *gpu_locks(devices)):
            held.enter_context(locked(path, what=what))
        yield


@contextmanager
def locked(path: Path, wait: bool = True, **about: Any) -> Iterator[None]:
    """Hold the lock of a file for the time of the block.

    Raises XmedError BUSY where somebody holds it and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        while not _taken(file.fileno()):
            who = _said(file.read() if file.seek(0) == 0 else "")
            if not wait:
                raise XmedError("BUSY", f"{path.name} is held by {who}", "nobody at it", "wait, or end that process")
            report("waiting for a turn", 0, 1, who)
            time.sleep(LOOK_AGAIN_SECONDS)
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(), **about}
        _write(file.fileno(), json.dumps(about))
        try:
            yield
        finally:
            _write(file.fileno(), "")  # nothing in it: the holder ended as it should


def owner(path: Path) -> tuple[Owner | None, bool]:
    """Who stands in a lock, and whether the lock is held. Nobody and False for a lock at rest; nothing is written."""
    try:
        with path.open(encoding="utf-8") as file:
            free = _taken(file.fileno())
            text = file.read()
    except FileNotFoundError:
        return None, False
    try:
        return (json.loads(text) if text else None), not free
    except ValueError:  # killed, or caught, between emptying and filling it
        return {"what": "somebody who had not said who"}, not free


def clear(path: Path) -> bool:
    """Forget who stands in a lock that nobody holds; False where somebody does."""
    with path.open("a+", encoding="utf-8") as file:
        free = _taken(file.fileno())
        if free:
            _write(file.fileno(), "")
    return free


def run_lock(home: Path) -> Path:
    """The lock of whoever trains in a home."""
    return home / "locks" / "run.json"


def gpu_locks(devices: int = 1) -> list[Path]:
    """The locks of the GPUs that this process would use, for all homes of this user; empty on a CPU.

    Raises XmedError PATH_UNSAFE where somebody else made the folder that it lies in.
    """
    from xmed import networks  # torch; whoever only asks who is at work need not wait for it

    if networks.default_device().type != "cuda":
        return []
    folder = gpu_lock_folder()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise XmedError("PATH_UNSAFE", f"{folder} belongs to somebody else", "a folder of this user", "remove it")
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(devices)))).split(",")[:devices]
    # Sorted: of two that want the same GPUs, neither holds what the other waits for.
    return sorted({folder / f"gpu-{re.sub('[^A-Za-z0-9-]', '', one) or '0'}.json" for one in seen})


def gpu_lock_folder() -> Path:
    """Where the locks of GPUs lie, for all homes of this user."""
    return Path(tempfile.gettempdir()) / f"xmed-{os.getuid()}"


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, text.encode())  # the file was opened to append: this lands at its beginning
    os.fsync(descriptor)


def _said(text: str) -> str:
    try:
        who = json.loads(text)
        return f"process {who['pid']} on {who['host']}, since {who['since'][:19]}Z: {who.get('what', '')}"
    except (ValueError, KeyError):
        return "another process"
