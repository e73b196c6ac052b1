"""Supervisor: the process behind `xmed up`: starts the services, starts again what dies, and ends them in order."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from xmed.console.run_lock import locked
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.server.prefect_server import STOP_SECONDS, UP, server_lock
from xmed.server.process_environment import prepare
from xmed.server.serve import let_save
from xmed.server.stack import postgres
from xmed.server.stack.passwords import make
from xmed.server.stack.paths import Place, Ports, prefect_url
from xmed.server.stack.service import Service, services

START_SECONDS = 300.0
LOOK_SECONDS = 0.5
PAUSES = (1.0, 5.0, 30.0, 120.0)
"""Seconds before a service that died is started again; the last one for good."""


def keep(place: Place, ports: Ports, ended: threading.Event) -> None:
    """Keep the stack of a home up until told to end. Raises XmedError BUSY, SERVER_FAILED."""
    with locked(server_lock(place.home), wait=False, what=UP, url=prefect_url(ports)):
        sweep(place)
        _note(place, [])
        every: list[Service] = []
        failed = None
        try:
            make(place.home)
            postgres.make(place)
            stages = services(place, ports)
            every += [service for stage in stages for service in stage]
            for stage in stages:
                _start(place, stage, every, ended)
                if stage is stages[0] and not ended.is_set():
                    postgres.furnish(place, ports.postgres)
            if not ended.is_set():
                place.settle(ports)
                _note(place, every, ready=True)
                _say("everything answers")
            _watch(place, every, ended)
        except XmedError as problem:
            failed = list(problem.args)
            raise
        finally:
            for service in reversed(every):
                service.stop()
                _say(f"{service.name} ended")
            _note(place, [], failed=failed)


def sweep(place: Place) -> list[str]:
    """End what a keeper that was killed has left at work; returns the names."""
    found = []
    for name, (pid, began) in reversed(list(place.said().get("processes", {}).items())):
        if _began(pid) != began:
            continue  # it ended, and the number may be somebody else's by now
        found.append(name)
        if name == "worker":
            let_save(pid)
        for number in (postgres.INTERRUPT if name == "postgres" else signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
            until = time.monotonic() + STOP_SECONDS
            while _began(pid) == began and time.monotonic() < until:
                time.sleep(0.1)
    return found


def _start(place: Place, stage: list[Service], every: list[Service], ended: threading.Event) -> None:
    """Start some services and wait until they are ready. Raises XmedError SERVER_FAILED."""
    for service in stage:
        service.start()
        _say(f"{service.name} is starting")
    _note(place, every)
    until = time.monotonic() + START_SECONDS
    for service in stage:
        while not service.ready() and not ended.wait(0.2):
            if not service.alive or time.monotonic() > until:
                raise XmedError("SERVER_FAILED", f"{service.name} did not start", "a server", f"see {service.log}")


def _watch(place: Place, every: list[Service], ended: threading.Event) -> None:
    """Start again what dies, after a pause that grows while it goes on dying."""
    deaths, due = dict.fromkeys([service.name for service in every], 0), dict[str, float]()
    while not ended.wait(LOOK_SECONDS):
        now = time.monotonic()
        for service in every:
            if service.alive:
                continue
            if service.name not in due:
                pause = PAUSES[min(deaths[service.name], len(PAUSES) - 1)]
                due[service.name], deaths[service.name] = now + pause, deaths[service.name] + 1
                code = service.process and service.process.returncode
                _say(f"{service.name} ended by itself with exit code {code}; again in {pause:.0f} s")
            elif due[service.name] < now:
                del due[service.name]
                service.start()
                _note(place, every, ready=True)


def _note(place: Place, every: Iterable[Service], ready: bool = False, failed: list[str] | None = None) -> None:
    """Leave word of what runs: for whoever waits for it, and for the next keeper if this one is killed."""
    at_work = {one.name: (one.process.pid, _began(one.process.pid)) for one in every if one.process and one.alive}
    document = {"pid": os.getpid(), "ready": ready, "failed": failed, "processes": at_work}
    write_atomically(place.services, json.dumps(document, indent=1) + "\n")


def _began(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: a number alone may be given to another one. None: it ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else rest[18]


def _say(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")
    sys.stderr.flush()


def main() -> int:
    """`python -m xmed.server.stack.supervisor PREFECT MLFLOW POSTGRES`: ports; the home is XMED_HOME."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    home, ports = prepare(), Ports(*map(int, sys.argv[1:4]))
    try:
        keep(Place(home), ports, ended)
    except XmedError as problem:
        _say(str(problem))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
