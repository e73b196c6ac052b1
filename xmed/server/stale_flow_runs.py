"""Flow runs that Prefect believes to be running although their process was killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from xmed.console.run_lock import run_lock
from xmed.files.locks import lock_owner
from xmed.files.uri import read_only_uri
from xmed.home import Home
from xmed.server.prefect_server import use_server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

INGEST_DAYS = 1
KILLED = "its process was killed"
STARTED = """
SELECT flow_run.id, flow.name, flow_run.name, flow_run.start_time FROM flow_run JOIN flow ON flow.id = flow_run.flow_id
WHERE flow_run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING')
"""


def is_run_at_work(home: Path) -> bool:
    """Whether some process holds the run lock of a home."""
    return lock_owner(run_lock(home))[1]


def find_stale_runs(home: Path) -> dict[UUID, str]:
    """Find stale flow runs in the embedded database of a home; none while a run is at work.

    Runs that adapt or compare hold the run lock: where nobody holds it, they are dead. An ingest holds no lock: it
    counts as dead when it began more than a day ago.

    Returns:
        Names by id.
    """
    path = Home(home).prefect_database
    if not path.is_file() or is_run_at_work(home):
        return {}
    with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
        rows = connection.execute(STARTED).fetchall()
    latest = (datetime.now(UTC) - timedelta(days=INGEST_DAYS)).strftime("%Y-%m-%d %H:%M:%S")
    return {
        UUID(str(key)): f"{flow} {name}"
        for key, flow, name, start in rows
        if flow in ("adapt", "compare") or (flow == "ingest" and str(start) < latest)
    }


def close_scheduled_runs(client: SyncPrefectClient) -> list[str]:
    """Mark unfinished scheduled flow runs as crashed; to be called by a worker that is about to be the only one.

    Runs that people started by hand have no deployment: they take no place in the work pool, and may be alive.

    Returns:
        The names of the runs.
    """
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    unfinished = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=unfinished)))
    scheduled = [run for run in runs if run.deployment_id]
    for run in scheduled:
        client.set_flow_run_state(run.id, Crashed(message=KILLED), force=True)
    return [run.name for run in scheduled]


def close_stale_runs(home: Path) -> list[str]:
    """Mark stale flow runs as crashed, at the server of this home or at one that is started for it.

    A run that says RUNNING for ever would keep the place of the next one in the work pool.

    Returns:
        The names of the runs.
    """
    stale = find_stale_runs(home)
    if not stale:
        return []
    use_server(home)
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        for key in stale:
            client.set_flow_run_state(key, Crashed(message=KILLED), force=True)
    return list(stale.values())
