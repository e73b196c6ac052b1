"""Prefect's worker of one home; it starts after stale flow runs were closed and the work pool was made."""

from __future__ import annotations

import os
import sys

from xmed.server import stale_flow_runs
from xmed.server.process_environment import prepare_environment


def run_worker() -> None:
    """Become the worker; the environment holds Prefect's settings already."""
    prepare_environment()
    from prefect.client.orchestration import get_client

    from xmed.server.work_pool import POOL, make_pool, renew_entrypoints

    with get_client(sync_client=True) as client:
        make_pool(client)
        renew_entrypoints(client)
        for name in stale_flow_runs.close_scheduled_runs(client):
            sys.stderr.write(f"{name} was killed before this started\n")
    sys.stderr.flush()
    arguments = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"]
    os.execv(sys.executable, [sys.executable, *arguments])  # the same process: its id is known, and signals reach it


if __name__ == "__main__":
    run_worker()
