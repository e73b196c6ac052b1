"""The services of the stack: how each is started, when it is ready, how it is stopped."""

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
from xmed.server.prefect_server import LOOPBACK, server_answers, start_process, stop_process
from xmed.server.serve import POLL_SECONDS, let_runs_save
from xmed.server.stack import postgres
from xmed.server.stack.passwords import PREFIX, password_variable, stack_password
from xmed.server.stack.paths import (
    USER,
    Ports,
    StackPlace,
    mlflow_url,
    prefect_client_environment,
    prefect_url,
)

ANSWER_SECONDS = 5.0
MLFLOW_WORKERS = "2"
PASSWORD_CACHE_SECONDS = "60"
"""How long MLflow's workers remember that a password was right: each check costs them a third of a second, and to log
one model takes hundreds of requests. An old password may still work for as long after it was changed."""
DATABASE_VARIABLE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
SERVER_PREFIXES = ("MLFLOW_", "PREFECT_", "PG")
"""Environment variables that name a server begin with one of these."""


@dataclass
class Service:
    """One server, and its process once it was started.

    Attributes:
        name: postgres, mlflow, prefect or worker.
        command: What to run.
        environment: All environment variables of the process.
        log: The file that its output is appended to.
        is_ready: Asks whether it can be used.
        stop_signal: The signal that asks it to end.
        before_stop: Called with the process id before it is asked to end.
        account: User and group to run as, as subprocess.Popen takes them.
        process: The process, once it was started.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    is_ready: Callable[[], bool]
    stop_signal: int = signal.SIGTERM
    before_stop: Callable[[int], None] | None = None
    account: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process; first whatever a process that died had started is stopped."""
        self.stop()
        self.process = start_process(self.command, self.environment, self.log, **self.account)

    def stop(self) -> None:
        """Stop the process and whatever it started."""
        if self.process is None:
            return
        if self.before_stop and self.is_alive:
            self.before_stop(self.process.pid)
        stop_process(self.process, self.stop_signal)


def stack_services(place: StackPlace, ports: Ports) -> list[list[Service]]:
    """The four services in stages: each stage needs the ones before it."""
    return [
        [postgres_service(place, ports)],
        [mlflow_service(place, ports), prefect_service(place, ports)],
        [worker_service(place, ports)],
    ]


def postgres_service(place: StackPlace, ports: Ports) -> Service:
    """PostgreSQL: the databases of the two servers."""
    environment = {name: value for name, value in _plain_environment().items() if not name.startswith("XMED_")}
    return Service(
        "postgres",
        postgres.server_command(place, ports.postgres),
        environment,
        place.log("postgres"),
        lambda: postgres.accepts_connections(place, ports.postgres),
        stop_signal=postgres.FAST_SHUTDOWN,
        account=postgres.server_account(place.data),
    )


def mlflow_service(place: StackPlace, ports: Ports) -> Service:
    """MLflow: everybody needs a password, and a permission to create or change anything (see xmed.registry.accounts).

    It runs no jobs and reads no pickles; artifacts go through the server only.
    """
    config = place.folder / "mlflow.ini"
    users = postgres.database_url("mlflow", "mlflow_auth", ports.postgres)
    settings = {"default_permission": "NO_PERMISSIONS", "database_uri": users, "admin_username": USER}
    settings["auth_cache_ttl_seconds"] = PASSWORD_CACHE_SECONDS
    settings["authorization_function"] = "xmed.registry.accounts:authorize"
    write_atomically(config, "\n".join(["[mlflow]", *(f"{key} = {value}" for key, value in settings.items())]) + "\n")
    environment = {
        "MLFLOW_BACKEND_STORE_URI": postgres.database_url("mlflow", "mlflow", ports.postgres),
        "MLFLOW_ARTIFACTS_DESTINATION": folder_uri(place.artifacts),
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": stack_password(place.home, "mlflow"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": stack_password(place.home, "mlflow-sessions"),
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
    url, environment = mlflow_url(ports), _plain_environment() | environment
    return Service("mlflow", command, environment, place.log("mlflow"), lambda: server_answers(url))


def prefect_service(place: StackPlace, ports: Ports) -> Service:
    """Prefect's server: flow runs and schedules."""
    environment = {
        DATABASE_VARIABLE: postgres.database_url("prefect", "prefect", ports.postgres, "postgresql+asyncpg"),
        "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{stack_password(place.home, 'prefect')}",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": prefect_url(ports).removesuffix("/api"),
        "PGPASSFILE": str(place.passfile),
        **_prefect_environment(place, ports),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(ports.prefect)]
    url, environment = prefect_url(ports), _plain_environment() | environment
    return Service("prefect", command, environment, place.log("prefect"), lambda: server_answers(url))


def worker_service(place: StackPlace, ports: Ports) -> Service:
    """The worker: starts scheduled runs, one at a time; before it is stopped, a run at work saves."""
    url = f"{prefect_url(ports)}/work_pools/xmed/workers/filter"
    login = (USER, stack_password(place.home, "prefect"))

    def is_online() -> bool:
        try:
            response = requests.post(url, auth=login, json={}, timeout=ANSWER_SECONDS)
        except requests.RequestException:
            return False
        return response.ok and any(worker["status"] == "ONLINE" for worker in response.json())

    environment = _plain_environment() | _prefect_environment(place, ports) | _stated_passwords("mlflow", "prefect")
    return Service(
        "worker",
        [sys.executable, "-m", "xmed.server.stack.prefect_worker"],
        environment | {"PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS},
        place.log("worker"),
        is_online,
        before_stop=let_runs_save,
    )


def _prefect_environment(place: StackPlace, ports: Ports) -> dict[str, str]:
    """What server and worker share: where Prefect is, and its settings in this home."""
    settings = {
        name: value for name, value in os.environ.items() if name.startswith("PREFECT_") and name != DATABASE_VARIABLE
    }
    return settings | prefect_client_environment(place.home, ports)


def _stated_passwords(*names: str) -> dict[str, str]:
    """Passwords that only the environment knows."""
    variables = [password_variable(name) for name in names]
    return {variable: os.environ[variable] for variable in variables if os.environ.get(variable)}


def _plain_environment() -> dict[str, str]:
    """The environment without variables that name servers, and without passwords of the stack."""
    return {name: value for name, value in os.environ.items() if not name.startswith((*SERVER_PREFIXES, PREFIX))}
