"""Child: processes that end with whoever started them, kill -9 included, whatever they are at and whoever starts them.

The kernel tells a child of its parent's death only where the child asks for it, and takes the end of the *thread* that
started it for that death (prctl(2), PR_SET_PDEATHSIG). Servers and pools that libraries start ask for nothing. So
every child, and every child of a child, bears a mark in its environment, and a watcher kills what bears the mark of a
process that has ended. Without /proc (no Linux) nothing is watched.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

MARK = "XMED_TIED_"
_watched: tuple[int, str, subprocess.Popen[bytes]] | None = None
"""Who is watched (a forked child is somebody else), what the mark says, and by whom."""
_alone = threading.Lock()


def _after_fork() -> None:
    global _alone
    _alone = threading.Lock()  # a thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)


def tie() -> dict[str, str]:
    """What the environment of a child must hold that shall end with this process; the marks that this one bears too."""
    inherited = {name: value for name, value in os.environ.items() if name.startswith(MARK)}
    if not Path("/proc/self/environ").is_file():
        return inherited
    with _alone:
        return {**inherited, f"{MARK}{os.getpid()}": _mark(os.getpid())}


def _mark(pid: int) -> str:
    """The value of this process's mark, once a watcher of it is at work."""
    global _watched
    if _watched is None or _watched[0] != pid or _watched[2].poll() is not None:
        value = _watched[1] if _watched and _watched[0] == pid else secrets.token_hex(8)
        words = [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("watcher.py")),
            str(pid),
            f"{MARK}{pid}",
            value,
        ]
        watcher = subprocess.Popen(
            words, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            start_new_session=True,
        )  # fmt: skip
        _watched = pid, value, watcher
    return _watched[1]


def tie_all() -> None:
    """From now on every child of this process ends with it, whichever library starts it."""
    os.environ.update(tie())


@contextlib.contextmanager
def tying() -> Iterator[None]:
    """What this process starts within the block ends with it; what it starts afterwards is its own affair again."""
    before = set(os.environ)
    os.environ.update(tie())
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            if name.startswith(MARK):
                del os.environ[name]


def untied(environment: Mapping[str, str]) -> dict[str, str]:
    """The same environment for a process that shall outlive this one."""
    return {name: value for name, value in environment.items() if not name.startswith(MARK)}


@atexit.register
def _in_good_order() -> None:
    """Whoever ends by itself has told its children to end already, or lets them live on purpose."""
    if _watched and _watched[0] == os.getpid():
        _watched[2].kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            _watched[2].wait(5)
