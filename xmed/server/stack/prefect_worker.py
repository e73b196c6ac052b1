"""Prefect's worker of one home; it starts once stale flow runs are closed and the work pool is there."""

from __future__ import annotations

import os
import sys

from xmed.server import stale_flow_runs
from xmed.server.process_environment import prepare


def main() -> None:
    """Become the worker. Prefect's settings stand in the environment already."""
    prepare()
    from prefect.client.orchestration import get_client

    from xmed.server.work_pool import POOL, make_pool, renew_entrypoints

    with get_client(sync_client=True) as client:
        make_pool(client)
        renew_entrypoints(client)
        for name in stale_flow_runs.close_scheduled(client):
            sys.stderr.write(f"{name} was killed before this started\n")
    sys.stderr.flush()
    words = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"]
    os.execv(sys.executable, [sys.executable, *words])  # not a child: signals must reach it, and its process is known


if __name__ == "__main__":
    main()
