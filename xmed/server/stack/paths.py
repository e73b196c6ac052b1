"""Where the stack of a home keeps its files, where its servers answer, and whether they are up.

stack/
    stack.json        the ports, written when all servers answered for the first time: from then on the registry and the
                      schedules of the home are in this stack
    services.json     the processes that run now, or ran when the supervisor was killed
    secrets/          one password per file, mode 0600; PostgreSQL's clients read pgpass beside it
    postgres/         PostgreSQL's data directory
    mlartifacts/      files that MLflow keeps beside its database
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.locks import lock_owner
from xmed.home import Home
from xmed.run import stack_file
from xmed.server.prefect_server import LOOPBACK, UP, server_lock
from xmed.server.stack.passwords import stack_password

if TYPE_CHECKING:
    from xmed.records.server_stack import SupervisorState

USER = "xmed"


@dataclass(frozen=True)
class Ports:
    """Ports of the servers, all on loopback."""

    prefect: int
    mlflow: int
    postgres: int


USUAL_PORTS = Ports(4200, 5000, 0)
"""0: any that is free; nobody keeps a bookmark of PostgreSQL's."""


@dataclass(frozen=True)
class StackPlace:
    """The stack of one home: its files and its state."""

    home: Path

    @property
    def folder(self) -> Path:
        """The folder of the stack."""
        return stack_file(self.home).parent

    @property
    def services(self) -> Path:
        """The file that names the running processes."""
        return self.folder / "services.json"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "postgres"

    @property
    def artifacts(self) -> Path:
        """The folder of MLflow's artifacts."""
        return self.folder / "mlartifacts"

    @property
    def passfile(self) -> Path:
        """The password file of PostgreSQL's clients."""
        return self.folder / "pgpass"

    def log(self, name: str) -> Path:
        """The log file of a service."""
        return Home(self.home).logs / f"{name}.log"

    def ports(self) -> Ports | None:
        """The ports of a stack that has been up; None for a home without a stack."""
        path = stack_file(self.home)
        if not path.is_file():
            return None
        with documents.guarded(str(path), "DOCUMENT_INVALID", "the ports of a stack, as `xmed up` writes them"):
            return Ports(**documents.read_json(path))

    def save_ports(self, ports: Ports) -> None:
        """Write down the ports: from now on this home's registry and schedules are in its stack."""
        write_atomically(stack_file(self.home), json.dumps(asdict(ports), indent=1) + "\n")

    def supervisor_pid(self) -> int | None:
        """The process id of the supervisor that keeps the stack up, if there is one."""
        owner, is_held = lock_owner(server_lock(self.home))
        return owner.pid if is_held and owner and owner.what == UP else None

    def state(self) -> SupervisorState:
        """What the supervisor last wrote about its services; nothing is known where it wrote nothing."""
        from xmed.records.record import read_record  # light commands build no record
        from xmed.records.server_stack import SupervisorState

        try:
            return read_record(SupervisorState, self.services)
        except XmedError:
            return SupervisorState()


def prefect_url(ports: Ports) -> str:
    """The URL of Prefect's API."""
    return f"http://{LOOPBACK}:{ports.prefect}/api"


def mlflow_url(ports: Ports) -> str:
    """The URL of MLflow."""
    return f"http://{LOOPBACK}:{ports.mlflow}"


def prefect_client_environment(home: Path, ports: Ports) -> dict[str, str]:
    """Environment variables that make a process use the stack's Prefect."""
    return {
        "PREFECT_API_URL": prefect_url(ports),
        "PREFECT_API_AUTH_STRING": f"{USER}:{stack_password(home, 'prefect')}",
    }


def mlflow_client_environment(home: Path, ports: Ports) -> dict[str, str]:
    """Environment variables that make a process use the stack's MLflow."""
    login = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": stack_password(home, "mlflow")}
    return {"MLFLOW_TRACKING_URI": mlflow_url(ports), **login}


def use_stack(home: Path) -> bool:
    """Make this process use the stack of a home, if it is up; variables that are set already stay as they are.

    Returns:
        Whether the stack is up.
    """
    place = StackPlace(home)
    ports = place.ports()
    if ports is None or place.supervisor_pid() is None:
        return False
    if not os.environ.get("PREFECT_API_URL"):
        os.environ |= prefect_client_environment(home, ports)
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ |= mlflow_client_environment(home, ports)
    return True
