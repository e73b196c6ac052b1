"""Where MLflow keeps runs and models, and the client that asks it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from xmed.errors import XmedError
from xmed.files.permissions import make_private_home
from xmed.files.uri import database_uri, folder_uri
from xmed.home import Home
from xmed.registry.audit_log import locked
from xmed.registry.relocation import relocate
from xmed.run import registry_is_there, stack_file

logging.getLogger("alembic").setLevel(logging.WARNING)  # one INFO line per migration of a new database


def tracking_uri(home: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the SQLite file below the home.

    Raises:
        XmedError: SERVER_FAILED, for a home whose registry is in servers that are down: the file would be another
            registry.
    """
    stated = os.environ.get("MLFLOW_TRACKING_URI")
    if not stated and stack_file(home).is_file():
        raise XmedError(
            "SERVER_FAILED", f"the servers of {home} are down", "its registry, which lives there", "xmed up"
        )
    return stated or database_uri(Home(home).registry_database)


def is_there(home: Path) -> bool:
    """Whether there is a store to ask; asking the embedded one creates it."""
    return registry_is_there(home)


def is_shared(home: Path) -> bool:
    """Whether the store may also hold models of other homes."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) and not stack_file(home).is_file()


def client(home: Path) -> MlflowClient:
    """Make a client of the home's store; the embedded one is created where it does not exist.

    Raises:
        XmedError: NOT_WRITABLE, where the home was moved and its registry cannot be corrected.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        make_private_home(home)
        relocate(home)
    uri = tracking_uri(home)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def registry_lock(home: Path) -> Iterator[None]:
    """Hold the registry for one writer among the processes of a home; across homes see `ledger.check_owner`.

    Args:
        home: The home.

    Yields:
        Nothing.

    Raises:
        XmedError: BUSY, where another process has held the lock for a minute or more.
    """
    with locked(Home(home).registry_lock, look_again_s=0.1):  # a registration takes a second; hundreds may wait
        yield


def experiment(mlflow_client: MlflowClient, name: str, home: Path) -> str:
    """The id of an experiment, which is created where it does not exist."""
    existing = mlflow_client.get_experiment_by_name(name)
    if existing is not None:
        if existing.lifecycle_stage == "deleted":
            mlflow_client.restore_experiment(existing.experiment_id)
        return str(existing.experiment_id)
    # Stated explicitly: MLflow freezes its default, ./mlruns of whatever folder the first run was started in.
    embedded = not os.environ.get("MLFLOW_TRACKING_URI")
    location = folder_uri(Home(home).registry_artifacts) if embedded else None
    try:
        return str(mlflow_client.create_experiment(name, artifact_location=location))
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment(mlflow_client, name, home)  # somebody in another home was quicker


@contextmanager
def active(run_id: str, home: Path) -> Iterator[None]:
    """Make an MLflow run active within the block, for MLflow's fluent interface; afterwards everything is as before."""
    # MLflow exports the URI it is given as MLFLOW_TRACKING_URI, where it would pass for the user's own choice later.
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri(home))
    try:
        with mlflow.start_run(run_id=run_id):
            yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # this is how MLflow itself unsets it
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
