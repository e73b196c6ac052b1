"""Loads Prefect's flows when a command is sure to need them.

Prefect writes to its folder and reads its settings when it is imported: so the home is prepared first, and a command
that is refused for wrong input never gets here.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from xmed.run import home


def load_ingest_flow(cluster: str | None = None) -> Any:
    """Load the flow that reads a dataset.

    Args:
        cluster: Address of a Dask cluster. Its workers and this process speak to one Prefect server: the one of
            `xmed serve`, where PREFECT_API_URL names no other.
    """
    _prepare(use_home_server=bool(cluster))
    from xmed_pipelines.ingest_flow import ingest_flow

    return ingest_flow


def load_adapt_flow() -> Any:
    """Load the flow that runs a study."""
    _prepare()
    from xmed_pipelines.adapt_flow import adapt_flow

    return adapt_flow


def load_validate_flow() -> Any:
    """Load the flow that validates a model on other data."""
    _prepare()
    from xmed_pipelines.validate_flow import validate_flow

    return validate_flow


def load_compare_flow(cluster: str | None = None) -> Any:
    """Load the flow that compares methods; `cluster` as in `load_ingest_flow`."""
    _prepare(use_home_server=bool(cluster))
    from xmed_pipelines.compare_flow import compare_flow

    return compare_flow


def load_drift_flow() -> Any:
    """Load the flow that checks new data for drift."""
    _prepare()
    from xmed_pipelines.drift_flow import drift_flow

    return drift_flow


def load_approve_flow() -> Any:
    """Load the flow that waits for a person's decision."""
    _prepare(use_home_server=True)
    from xmed_pipelines.approve_flow import approve_flow

    return approve_flow


def load_schedules() -> ModuleType:
    """Load the module that lists and changes schedules."""
    _prepare(use_home_server=True)
    from xmed_pipelines import schedules

    return schedules


def _prepare(use_home_server: bool = False) -> None:
    from xmed.server.prefect_server import use_server
    from xmed.server.process_environment import open_home

    open_home()
    if use_home_server:
        use_server(home())
