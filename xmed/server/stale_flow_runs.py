"""Stale flow runs: flow runs that Prefect believes to be running in a home where no process is at work on them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from xmed.console.run_lock import owner, run_lock
from xmed.files.uri import read_only_uri
from xmed.server.prefect_server import use_server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

INGEST_DAYS = 1
STARTED = """
SELECT flow_run.id, flow.name, flow_run.name, flow_run.start_time FROM flow_run JOIN flow ON flow.id = flow_run.flow_id
WHERE flow_run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING')
"""


def at_work(home: Path) -> bool:
    """Whether some process has the turn in a home."""
    return owner(run_lock(home))[1]


def orphans(home: Path) -> dict[UUID, str]:
    """Flow runs of the embedded database, by id and name; none while somebody is at work, or where there is no such.

    Runs that adapt or compare have the turn, so without anybody at work they are dead. An ingest takes no turn: it is
    dead when it began the day before yesterday.
    """
    path = home / "prefect" / "prefect.db"
    if not path.is_file() or at_work(home):
        return {}
    with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
        rows = connection.execute(STARTED).fetchall()
    lately = (datetime.now(UTC) - timedelta(days=INGEST_DAYS)).strftime("%Y-%m-%d %H:%M:%S")
    return {
        UUID(str(key)): f"{flow} {name}"
        for key, flow, name, start in rows
        if flow in ("adapt", "compare") or (flow == "ingest" and str(start) < lately)
    }


def close_scheduled(client: SyncPrefectClient) -> list[str]:
    """Say of scheduled flow runs that they crashed; returns their names. For whoever is about to be the only worker.

    Runs that people started by hand have no deployment: they keep no place in the work pool, and may be alive.
    """
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    begun = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=begun)))
    found = [run for run in runs if run.deployment_id]
    for run in found:
        client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
    return [run.name for run in found]


def close(home: Path) -> list[str]:
    """Say of them that they crashed, to the server of this home or to one that is started for it; returns their names.

    One that says RUNNING for ever would keep the place of the next in the work pool.
    """
    found = orphans(home)
    if not found:
        return []
    use_server(home)
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        for key in found:
            client.set_flow_run_state(key, Crashed(message="its process was killed"), force=True)
    return list(found.values())
