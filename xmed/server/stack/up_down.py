"""Up down: bring the stack of a home up and down, from a process that does not stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xmed.console.run_lock import owner
from xmed.errors import XmedError
from xmed.processes.child import untied_environment
from xmed.server.prefect_server import LOOPBACK, free, server_lock
from xmed.server.serve import SAVE_SECONDS
from xmed.server.stack import postgres, supervisor
from xmed.server.stack.passwords import folder as secrets_folder
from xmed.server.stack.paths import USER, USUAL, Place, Ports, mlflow_url, prefect_url

UP_SECONDS = 2 * supervisor.START_SECONDS
DOWN_SECONDS = SAVE_SECONDS + 8 * supervisor.STOP_SECONDS
OTHERS = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL")
PACKAGES = ("psycopg2", "flask_wtf")


def up(home: Path, prefect: int | None, mlflow: int | None) -> dict[str, Any]:
    """Bring the stack up, or wait until it is, and say where it answers.

    prefect, mlflow: ports; None: as before, or the usual ones; 0: any that is free.

    Raises XmedError SERVER_FAILED, USAGE, BUSY (`xmed serve` is at work), PATH_UNSAFE.
    """
    place = Place(home)
    process = None
    if place.keeper() is None:
        _possible(place)
        process = _keeper(place, _ports(place, prefect, mlflow))
    until = time.monotonic() + UP_SECONDS
    while not (place.keeper() and place.said().get("ready")):
        if process is not None and process.poll() is not None and place.keeper() is None:
            raise _why(place, process)
        if time.monotonic() > until or (process is None and place.keeper() is None):
            raise XmedError("SERVER_FAILED", "the stack did not come up", "four services", f"see {place.log('stack')}")
        time.sleep(0.2)
    return described(place)


def down(home: Path) -> dict[str, Any]:
    """End the stack; a run at work saves first. Also ends what is left of one whose keeper was killed.

    Raises XmedError SERVER_FAILED where it does not end.
    """
    place = Place(home)
    pid = place.keeper()
    if pid is None:
        return {"up": False, "was_up": False, "ended": supervisor.sweep(place)}
    names = list(place.said().get("processes", {}))
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + DOWN_SECONDS
    while place.keeper() == pid:
        if time.monotonic() > until:
            raise XmedError(
                "SERVER_FAILED", f"process {pid} does not end", "the stack's end", f"see {place.log('stack')}"
            )
        time.sleep(0.1)
    return {"up": False, "was_up": True, "ended": names}


def described(place: Place) -> dict[str, Any]:
    """Where a stack that has been up answers, and who may enter."""
    ports = place.ports()
    assert ports is not None
    secrets = secrets_folder(place.home)
    return {
        "up": place.keeper() is not None,
        "home": str(place.home),
        "prefect": {"url": prefect_url(ports).removesuffix("/api"), "user": USER, "password": str(secrets / "prefect")},
        "mlflow": {"url": mlflow_url(ports), "user": USER, "password": str(secrets / "mlflow")},
        "postgres": {"address": f"{LOOPBACK}:{ports.postgres}", "data": str(place.data)},
        "logs": str(place.log("stack").parent),
        "embedded": str(place.home / "mlflow.db") if (place.home / "mlflow.db").is_file() else None,
    }


def _possible(place: Place) -> None:
    """Raises XmedError where it is clear beforehand that there can be no stack."""
    who, alive = owner(server_lock(place.home))
    if alive:
        raise XmedError(
            "BUSY", f"{(who or {}).get('what')}, process {(who or {}).get('pid')}", "nobody at it", "end it"
        )
    for name in OTHERS:
        if os.environ.get(name):
            raise XmedError("USAGE", f"{name} is set", "no other servers: it would win over these", f"unset {name}")
    missing = [name for name in PACKAGES if not find_spec(name)]
    if missing:
        raise XmedError("SERVER_FAILED", f"no {', '.join(missing)}", "the extra `stack`", "pip install 'xmed[stack]'")
    postgres.programs(place.data)
    postgres.whose(place.data)


def _ports(place: Place, prefect: int | None, mlflow: int | None) -> Ports:
    before = place.ports() or USUAL
    chosen = before.prefect if prefect is None else prefect, before.mlflow if mlflow is None else mlflow
    return Ports(free(chosen[0]), free(chosen[1]), free(0))


def _keeper(place: Place, ports: Ports) -> subprocess.Popen[bytes]:
    log = place.log("stack")
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(port) for port in (ports.prefect, ports.mlflow, ports.postgres)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "xmed.server.stack.supervisor", *words],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=untied_environment(os.environ),
        )  # fmt: skip


def _why(place: Place, process: subprocess.Popen[bytes]) -> XmedError:
    failed = place.said().get("failed")
    if failed:
        return XmedError(*failed)
    what = f"the keeper ended with exit code {process.returncode}"
    return XmedError("SERVER_FAILED", what, "a stack that stands", f"see {place.log('stack')}")
