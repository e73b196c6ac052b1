"""Watcher: a process that kills the children of another process when that was killed (see `xmed.processes.child`).

It runs with the standard library only, as `python -I -S watcher.py PID NAME VALUE`: when process PID has ended, every
process whose environment contains NAME=VALUE is killed. A process that exits normally ends its watcher first.
"""

import contextlib
import os
import select
import signal
import sys
import time

SWEEPS_SECONDS = 5.0
"""How long it looks for processes: one that was being started at the kill has the mark a moment later."""
LOOK_SECONDS = 0.2


def watch_process(parent: int, mark: bytes) -> None:
    """Wait for the end of a process, then kill the processes with its mark for some seconds."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wait_for_end(parent)
    until = time.monotonic() + SWEEPS_SECONDS
    while time.monotonic() < until:
        for pid in marked_processes(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_SECONDS)


def wait_for_end(parent: int) -> None:
    """Return when the process that started this one has ended."""
    with contextlib.suppress(OSError, AttributeError):  # kernels before Linux 5.3 have no pidfd
        ended = select.poll()
        ended.register(os.pidfd_open(parent), select.POLLIN)
        while os.getppid() == parent and not ended.poll(60_000):
            pass
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)


def marked_processes(mark: bytes) -> list[int]:
    """The ids of the processes whose environment contains a mark."""
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    pids.append(int(name))
    return pids


if __name__ == "__main__":
    watch_process(int(sys.argv[1]), f"{sys.argv[2]}={sys.argv[3]}".encode())
