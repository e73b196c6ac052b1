"""Watcher: a small process that ends what another one has left at work when it is killed (see `xmed.processes.child`).

Run by itself with the standard library alone, `python -I -S watcher.py PID NAME VALUE`: once process PID has ended,
every process is killed whose environment holds NAME=VALUE. Whoever ends in good order ends its watcher first.
"""

import contextlib
import os
import select
import signal
import sys
import time

SWEEPS_SECONDS = 5.0
"""How long it goes on looking: what was just being started when the other was killed bears the mark a moment later."""
LOOK_SECONDS = 0.2


def main(parent: int, mark: bytes) -> None:
    """Wait for a process's end, then kill whoever bears its mark, until nobody does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wait(parent)
    until = time.monotonic() + SWEEPS_SECONDS
    while time.monotonic() < until:
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_SECONDS)


def wait(parent: int) -> None:
    """Return when the process that started this one has ended."""
    with contextlib.suppress(OSError, AttributeError):  # a kernel before Linux 5.3 knows no pidfd
        ended = select.poll()
        ended.register(os.pidfd_open(parent), select.POLLIN)
        while os.getppid() == parent and not ended.poll(60_000):
            pass
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)


def marked(mark: bytes) -> list[int]:
    """The processes of this user whose environment holds a mark."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(int(name))
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), f"{sys.argv[2]}={sys.argv[3]}".encode())
