"""`xmed up` and `xmed down`: start the supervisor of a stack and wait until it is up; stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.locks import lock_owner
from xmed.home import Home
from xmed.processes.child import untied_environment
from xmed.records.server_stack import DatabaseServer, RunningStack, ServerLogin, StoppedStack
from xmed.server.prefect_server import LOOPBACK, STOP_SECONDS, free_port, server_lock
from xmed.server.serve import SAVE_SECONDS
from xmed.server.stack import postgres, supervisor
from xmed.server.stack.passwords import secrets_folder
from xmed.server.stack.paths import USER, USUAL_PORTS, Ports, StackPlace, mlflow_url, prefect_url

UP_SECONDS = 2 * supervisor.START_SECONDS
DOWN_SECONDS = SAVE_SECONDS + 8 * STOP_SECONDS
OTHER_SERVERS = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL")
PACKAGES = ("psycopg2", "flask_wtf")


def up(home: Path, prefect: int | None, mlflow: int | None) -> RunningStack:
    """Start the stack, or wait until it is up, where another process has started it.

    Args:
        home: The home.
        prefect: Port of Prefect's pages; None: as before, or the usual one; 0: any that is free.
        mlflow: Port of MLflow's pages, in the same way.

    Returns:
        Where the servers answer.

    Raises:
        XmedError: SERVER_FAILED, USAGE, BUSY (`xmed serve` is at work), PATH_UNSAFE.
    """
    place = StackPlace(home)
    process = None
    if place.supervisor_pid() is None:
        _refuse_impossible(place)
        process = _start_supervisor(place, _choose_ports(place, prefect, mlflow))
    until = time.monotonic() + UP_SECONDS
    while not (place.supervisor_pid() and place.state().ready):
        if process is not None and process.poll() is not None and place.supervisor_pid() is None:
            raise _failure(place, process)
        if time.monotonic() > until or (process is None and place.supervisor_pid() is None):
            raise XmedError("SERVER_FAILED", "the stack did not come up", "four services", f"see {place.log('stack')}")
        time.sleep(0.2)
    return stack_summary(place)


def down(home: Path) -> StoppedStack:
    """Stop the stack; a run at work saves first. Also stops what a supervisor that was killed has left.

    Args:
        home: The home.

    Returns:
        What was stopped.

    Raises:
        XmedError: SERVER_FAILED, where it does not end.
    """
    place = StackPlace(home)
    pid = place.supervisor_pid()
    if pid is None:
        return StoppedStack(up=False, was_up=False, ended=supervisor.stop_leftovers(place))
    names = list(place.state().processes)
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + DOWN_SECONDS
    while place.supervisor_pid() == pid:
        if time.monotonic() > until:
            do = f"see {place.log('stack')}"
            raise XmedError("SERVER_FAILED", f"process {pid} does not end", "the stack's end", do)
        time.sleep(0.1)
    return StoppedStack(up=False, was_up=True, ended=names)


def stack_summary(place: StackPlace) -> RunningStack:
    """Where the servers of a stack answer, and the files with their passwords."""
    ports = place.ports()
    assert ports is not None
    folder, embedded = secrets_folder(place.home), Home(place.home).registry_database
    prefect = prefect_url(ports).removesuffix("/api")
    return RunningStack(
        up=place.supervisor_pid() is not None,
        home=str(place.home),
        prefect=ServerLogin(url=prefect, user=USER, password=str(folder / "prefect")),
        mlflow=ServerLogin(url=mlflow_url(ports), user=USER, password=str(folder / "mlflow")),
        postgres=DatabaseServer(address=f"{LOOPBACK}:{ports.postgres}", data=str(place.data)),
        logs=str(place.log("stack").parent),
        embedded=str(embedded) if embedded.is_file() else None,
    )


def _refuse_impossible(place: StackPlace) -> None:
    """Raise XmedError where it is clear beforehand that the stack cannot be started."""
    owner, is_held = lock_owner(server_lock(place.home))
    if is_held:
        holder = f"{owner.what}, process {owner.pid}" if owner else "another process"
        raise XmedError("BUSY", holder, "nobody at it", "end it")
    for name in OTHER_SERVERS:
        if os.environ.get(name):
            raise XmedError("USAGE", f"{name} is set", "no other servers: it would win over these", f"unset {name}")
    missing = [name for name in PACKAGES if not find_spec(name)]
    if missing:
        raise XmedError("SERVER_FAILED", f"no {', '.join(missing)}", "the extra `stack`", "pip install 'xmed[stack]'")
    postgres.programs(place.data)
    postgres.server_account(place.data)


def _choose_ports(place: StackPlace, prefect: int | None, mlflow: int | None) -> Ports:
    before = place.ports() or USUAL_PORTS
    prefect_port = before.prefect if prefect is None else prefect
    mlflow_port = before.mlflow if mlflow is None else mlflow
    return Ports(free_port(prefect_port), free_port(mlflow_port), free_port(0))


def _start_supervisor(place: StackPlace, ports: Ports) -> subprocess.Popen[bytes]:
    log = place.log("stack")
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = [str(port) for port in (ports.prefect, ports.mlflow, ports.postgres)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "xmed.server.stack.supervisor", *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=untied_environment(os.environ),
        )  # fmt: skip


def _failure(place: StackPlace, process: subprocess.Popen[bytes]) -> XmedError:
    """Why a supervisor that has ended could not bring the stack up."""
    error = place.state().failed
    if error:
        return XmedError(*error)
    what = f"the supervisor ended with exit code {process.returncode}"
    return XmedError("SERVER_FAILED", what, "a stack that stands", f"see {place.log('stack')}")
