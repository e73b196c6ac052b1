"""Child: child processes that end with this process, even after kill -9 and if a library started them.

The kernel signals the death of a parent only to children that request it, and counts the end of the *thread* that
started them as that death (prctl(2), PR_SET_PDEATHSIG). Servers and pools of libraries do not request it. Therefore
every child, and every child of a child, has a mark in its environment, and a watcher process kills all processes with
the mark of a process that has ended. Without /proc (not Linux) nothing is watched.
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

OWN_PROCESS = "XMED_OWN_PROCESS"
"""The environment variable of processes that run xmed and nothing else: commands, and all that they start."""
MARK = "XMED_TIED_"
"""Prefix of the environment variable that marks a child; the parent's process id follows."""
_watched: tuple[int, str, subprocess.Popen[bytes]] | None = None
"""The process that is watched (a forked child is another one), the value of its mark, and its watcher."""
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # a thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)


def mark_own_process() -> None:
    """Tell the modules of this process, and of all that it starts, that no other program uses it."""
    os.environ[OWN_PROCESS] = "1"


def is_own_process() -> bool:
    """Tell whether this process runs xmed and nothing else.

    Returns:
        False where another program has imported xmed.
    """
    return OWN_PROCESS in os.environ


def child_environment() -> dict[str, str]:
    """Make the marks for a child that must end with this process; starts the watcher where there is none.

    Returns:
        Environment variables for the child, among them the marks that this process has itself, and OWN_PROCESS.
    """
    inherited = {name: value for name, value in os.environ.items() if name.startswith(MARK)} | {OWN_PROCESS: "1"}
    if not Path("/proc/self/environ").is_file():
        return inherited
    with _lock:
        return {**inherited, f"{MARK}{os.getpid()}": _mark(os.getpid())}


def _mark(pid: int) -> str:
    """The value of this process's mark; starts its watcher if there is none."""
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


def tie_all_children() -> None:
    """Mark this process, so that every child that it starts from now on ends with it."""
    environment = child_environment()
    del environment[OWN_PROCESS]  # it would be true of the children, not of this process
    os.environ.update(environment)


@contextlib.contextmanager
def tied_children() -> Iterator[None]:
    """Mark this process within the block, so that children that it starts there end with it.

    Yields:
        Nothing.
    """
    before = set(os.environ)
    os.environ.update(child_environment())
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            if name.startswith(MARK) or name == OWN_PROCESS:
                del os.environ[name]


def untied_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Remove the marks from an environment, for a process that must outlive this one.

    Args:
        environment: Environment variables.

    Returns:
        The variables that are no marks.
    """
    return {name: value for name, value in environment.items() if not name.startswith(MARK)}


@atexit.register
def _end_watcher() -> None:
    """A process that exits normally has ended its children already, or leaves them running on purpose."""
    if _watched and _watched[0] == os.getpid():
        _watched[2].kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            _watched[2].wait(5)
