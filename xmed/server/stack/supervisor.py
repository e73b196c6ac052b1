"""The process behind `xmed up`: starts the services, restarts what dies, and stops them in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.locks import hold_lock
from xmed.records.record import write
from xmed.records.server_stack import SupervisorState
from xmed.server.prefect_server import STOP_SECONDS, UP, server_lock
from xmed.server.process_environment import prepare_environment
from xmed.server.serve import let_runs_save
from xmed.server.stack import postgres
from xmed.server.stack.passwords import make_passwords
from xmed.server.stack.paths import Ports, StackPlace, prefect_url
from xmed.server.stack.service import Service, stack_services

START_SECONDS = 300.0
POLL_SECONDS = 0.5
RESTART_PAUSES = (1.0, 5.0, 30.0, 120.0)
"""Seconds before a service that died is started again: after its first death, its second, ...; then always the last."""


def supervise(place: StackPlace, ports: Ports, stopped: threading.Event) -> None:
    """Keep the stack of a home up until an event is set.

    Raises:
        XmedError: BUSY, SERVER_FAILED.
    """
    with hold_lock(server_lock(place.home), wait=False, what=UP, url=prefect_url(ports)):
        stop_leftovers(place)
        _write_state(place, [])
        services: list[Service] = []
        failure = None
        try:
            make_passwords(place.home)
            postgres.make_cluster(place)
            stages = stack_services(place, ports)
            services += [service for stage in stages for service in stage]
            for stage in stages:
                _start_stage(place, stage, services, stopped)
                if stage is stages[0] and not stopped.is_set():
                    postgres.make_databases(place, ports.postgres)
            if not stopped.is_set():
                place.save_ports(ports)
                _write_state(place, services, ready=True)
                _log("everything answers")
            _restart_dead(place, services, stopped)
        except XmedError as problem:
            failure = list(problem.args)
            raise
        finally:
            for service in reversed(services):
                service.stop()
                _log(f"{service.name} ended")
            _write_state(place, [], failed=failure)


def stop_leftovers(place: StackPlace) -> list[str]:
    """Stop processes that a supervisor which was killed has left; returns their names."""
    names = []
    for name, (pid, started) in reversed(list(place.state().processes.items())):
        if _start_ticks(pid) != started:
            continue  # it ended, and the number may be another process's by now
        names.append(name)
        if name == "worker":
            let_runs_save(pid)
        for number in (postgres.FAST_SHUTDOWN if name == "postgres" else signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
            until = time.monotonic() + STOP_SECONDS
            while _start_ticks(pid) == started and time.monotonic() < until:
                time.sleep(0.1)
    return names


def run_supervisor() -> int:
    """Run as `python -m xmed.server.stack.supervisor PREFECT MLFLOW POSTGRES` (ports); the home is XMED_HOME.

    Returns:
        The exit code.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    home, ports = prepare_environment(), Ports(*map(int, sys.argv[1:4]))
    try:
        supervise(StackPlace(home), ports, stopped)
    except XmedError as problem:
        _log(str(problem))
        return 2
    return 0


def _start_stage(place: StackPlace, stage: list[Service], services: list[Service], stopped: threading.Event) -> None:
    """Start the services of a stage and wait until they are ready."""
    for service in stage:
        service.start()
        _log(f"{service.name} is starting")
    _write_state(place, services)
    until = time.monotonic() + START_SECONDS
    for service in stage:
        while not service.is_ready() and not stopped.wait(0.2):
            if not service.is_alive or time.monotonic() > until:
                raise XmedError("SERVER_FAILED", f"{service.name} did not start", "a server", f"see {service.log}")


def _restart_dead(place: StackPlace, services: list[Service], stopped: threading.Event) -> None:
    """Start services that died again, after a pause that grows with each death, until an event is set."""
    deaths, due = dict.fromkeys([service.name for service in services], 0), dict[str, float]()
    while not stopped.wait(POLL_SECONDS):
        now = time.monotonic()
        for service in services:
            if service.is_alive:
                continue
            if service.name not in due:
                pause = RESTART_PAUSES[min(deaths[service.name], len(RESTART_PAUSES) - 1)]
                due[service.name], deaths[service.name] = now + pause, deaths[service.name] + 1
                code = service.process and service.process.returncode
                _log(f"{service.name} ended by itself with exit code {code}; again in {pause:.0f} s")
            elif due[service.name] < now:
                del due[service.name]
                service.start()
                _write_state(place, services, ready=True)


def _write_state(
    place: StackPlace, services: Iterable[Service], ready: bool = False, failed: list[str] | None = None
) -> None:
    """Write down which processes run: for whoever waits for them, and for the next supervisor if this one is killed."""
    alive = [service for service in services if service.process and service.is_alive]
    pids = {service.name: service.process.pid for service in alive if service.process}
    processes = {name: (pid, _start_ticks(pid)) for name, pid in pids.items()}
    write(SupervisorState(pid=os.getpid(), ready=ready, failed=failed, processes=processes), place.services)


def _start_ticks(pid: int) -> str | None:
    """When a process started, in the kernel's ticks, since a number may be given to another process; None: it ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else rest[18]


def _log(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(run_supervisor())
