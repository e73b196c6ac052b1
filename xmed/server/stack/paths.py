"""Paths: where the stack of a home keeps what, where its servers answer, and whether they are up.

stack/
    stack.json        the ports, written when everything answered for the first time: from then on registry and
                      schedules of the home live here
    services.json     what runs at present, or ran when the keeper was killed
    secrets/          one password a file, 0600; pgpass beside it is what PostgreSQL's clients read
    postgres/         PostgreSQL's data directory
    mlartifacts/      what MLflow keeps beside its database
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmed.console.run_lock import owner
from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.run import stack_file
from xmed.server.prefect_server import LOOPBACK, UP, server_lock
from xmed.server.stack.passwords import secret

USER = "xmed"


@dataclass(frozen=True)
class Ports:
    """Where the servers answer, all on loopback."""

    prefect: int
    mlflow: int
    postgres: int


USUAL = Ports(4200, 5000, 0)
"""0: any that is free. Of PostgreSQL nobody keeps a bookmark."""


@dataclass(frozen=True)
class Place:
    """The stack of one home."""

    home: Path

    @property
    def folder(self) -> Path:
        return stack_file(self.home).parent

    @property
    def services(self) -> Path:
        return self.folder / "services.json"

    @property
    def data(self) -> Path:
        return self.folder / "postgres"

    @property
    def artifacts(self) -> Path:
        return self.folder / "mlartifacts"

    @property
    def passfile(self) -> Path:
        return self.folder / "pgpass"

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def ports(self) -> Ports | None:
        """The ports of a stack that has been up; None for a home without one."""
        path = stack_file(self.home)
        if not path.is_file():
            return None
        with documents.guarded(str(path), "DOCUMENT_INVALID", "the ports of a stack, as `xmed up` writes them"):
            return Ports(**documents.read_mapping(path))

    def settle(self, ports: Ports) -> None:
        """From now on this home's registry and schedules live in its stack."""
        write_atomically(stack_file(self.home), json.dumps(asdict(ports), indent=1) + "\n")

    def keeper(self) -> int | None:
        """The process that keeps the stack up, if there is one."""
        who, alive = owner(server_lock(self.home))
        return int(who["pid"]) if alive and who and who.get("what") == UP else None

    def said(self) -> dict[str, Any]:
        """What the keeper last wrote of its services: pid, ready, failed, processes."""
        try:
            return documents.read_mapping(self.services)
        except XmedError:
            return {}


def prefect_url(ports: Ports) -> str:
    return f"http://{LOOPBACK}:{ports.prefect}/api"


def mlflow_url(ports: Ports) -> str:
    return f"http://{LOOPBACK}:{ports.mlflow}"


def to_prefect(home: Path, ports: Ports) -> dict[str, str]:
    """The environment of whoever speaks to Prefect."""
    return {"PREFECT_API_URL": prefect_url(ports), "PREFECT_API_AUTH_STRING": f"{USER}:{secret(home, 'prefect')}"}


def to_mlflow(home: Path, ports: Ports) -> dict[str, str]:
    """The environment of whoever speaks to MLflow."""
    who = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": secret(home, "mlflow")}
    return {"MLFLOW_TRACKING_URI": mlflow_url(ports), **who}


def use(home: Path) -> bool:
    """Speak to the stack of this home from now on, if it is up; what somebody else set wins."""
    place = Place(home)
    ports = place.ports()
    if ports is None or place.keeper() is None:
        return False
    if not os.environ.get("PREFECT_API_URL"):
        os.environ |= to_prefect(home, ports)
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ |= to_mlflow(home, ports)
    return True
