"""Service: one server of the stack: how it is started, when it is ready, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from xmed.files.atomic import write_atomically
from xmed.files.uri import folder_uri
from xmed.server.prefect_server import LOOPBACK, answers, begin, end
from xmed.server.serve import POLL_SECONDS, let_save
from xmed.server.stack import postgres
from xmed.server.stack.passwords import STATED, secret, variable
from xmed.server.stack.paths import USER, Place, Ports, mlflow_url, prefect_url, to_prefect

ASK_SECONDS = 5.0
MLFLOW_WORKERS = "2"
KNOWN_SECONDS = "60"
"""How long MLflow's workers remember that a password was right: each check costs them a third of a second, and to log
one model takes hundreds of requests. As long may a password work on that was changed."""
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
OURS = ("MLFLOW_", "PREFECT_", "PG")


@dataclass
class Service:
    """One server, and its process once it was started."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    ready: Callable[[], bool]
    gently: int = signal.SIGTERM
    before: Callable[[int], None] | None = None
    whom: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.stop()  # what a process that died had started
        self.process = begin(self.command, self.environment, self.log, **self.whom)

    def stop(self) -> None:
        if self.process is None:
            return
        if self.before and self.alive:
            self.before(self.process.pid)
        end(self.process, self.gently)


def services(place: Place, ports: Ports) -> list[list[Service]]:
    """The four of them, in the order in which they need each other."""
    return [[database(place, ports)], [mlflow(place, ports), prefect(place, ports)], [worker(place, ports)]]


def database(place: Place, ports: Ports) -> Service:
    return Service(
        "postgres",
        postgres.command(place, ports.postgres),
        {name: value for name, value in _plain().items() if not name.startswith("XMED_")},
        place.log("postgres"),
        lambda: postgres.answers(place, ports.postgres),
        gently=postgres.INTERRUPT,
        whom=postgres.whose(place.data),
    )


def mlflow(place: Place, ports: Ports) -> Service:
    """With passwords for everybody, no permission unless given, nothing created without one (see registry.accounts).

    No jobs, no pickles; artifacts go through the server and nowhere else.
    """
    written = place.folder / "mlflow.ini"
    users = postgres.url("mlflow", "mlflow_auth", ports.postgres)
    settings = {"default_permission": "NO_PERMISSIONS", "database_uri": users, "admin_username": USER}
    settings["auth_cache_ttl_seconds"] = KNOWN_SECONDS
    settings["authorization_function"] = "xmed.registry.accounts:authorize"
    write_atomically(written, "\n".join(["[mlflow]", *(f"{key} = {value}" for key, value in settings.items())]) + "\n")
    environment = {
        "MLFLOW_BACKEND_STORE_URI": postgres.url("mlflow", "mlflow", ports.postgres),
        "MLFLOW_ARTIFACTS_DESTINATION": folder_uri(place.artifacts),
        "MLFLOW_AUTH_CONFIG_PATH": str(written),
        "MLFLOW_AUTH_ADMIN_PASSWORD": secret(place.home, "mlflow"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret(place.home, "mlflow-sessions"),
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PGPASSFILE": str(place.passfile),
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--serve-artifacts"]
    command += ["--host", LOOPBACK, "--port", str(ports.mlflow), "--workers", MLFLOW_WORKERS]
    command += ["--allowed-hosts", f"{LOOPBACK}:{ports.mlflow},localhost:{ports.mlflow}"]
    command += ["--cors-allowed-origins", mlflow_url(ports), "--x-frame-options", "DENY"]
    url = mlflow_url(ports)
    return Service("mlflow", command, _plain() | environment, place.log("mlflow"), lambda: answers(url))


def prefect(place: Place, ports: Ports) -> Service:
    environment = {
        DATABASE: postgres.url("prefect", "prefect", ports.postgres, "postgresql+asyncpg"),
        "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{secret(place.home, 'prefect')}",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": prefect_url(ports).removesuffix("/api"),
        "PGPASSFILE": str(place.passfile),
        **_prefect(place, ports),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(ports.prefect)]
    url = prefect_url(ports)
    return Service("prefect", command, _plain() | environment, place.log("prefect"), lambda: answers(url))


def worker(place: Place, ports: Ports) -> Service:
    """It starts runs, one at a time; told to end, it lets the one at work save."""
    url, who = f"{prefect_url(ports)}/work_pools/xmed/workers/filter", (USER, secret(place.home, "prefect"))

    def ready() -> bool:
        try:
            found = requests.post(url, auth=who, json={}, timeout=ASK_SECONDS)
        except requests.RequestException:
            return False
        return found.ok and any(one["status"] == "ONLINE" for one in found.json())

    return Service(
        "worker",
        [sys.executable, "-m", "xmed.server.stack.prefect_worker"],
        _plain()
        | _prefect(place, ports)
        | _stated("mlflow", "prefect")
        | {"PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS},
        place.log("worker"),
        ready,
        before=let_save,
    )


def _prefect(place: Place, ports: Ports) -> dict[str, str]:
    """What server and worker share: how to speak to Prefect, and how it behaves in this home."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PREFECT_") and name != DATABASE}
    return kept | to_prefect(place.home, ports)


def _stated(*names: str) -> dict[str, str]:
    """Those passwords that only the environment knows."""
    return {variable(name): os.environ[variable(name)] for name in names if os.environ.get(variable(name))}


def _plain() -> dict[str, str]:
    """The environment without other servers, and without the secrets of those that somebody stated there."""
    return {name: value for name, value in os.environ.items() if not name.startswith((*OURS, STATED))}
