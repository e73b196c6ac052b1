"""Work pool: where Prefect keeps scheduled runs until a worker of this home takes them, one at a time."""

from __future__ import annotations

import contextlib

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

POOL = "xmed"


def make_pool(client: SyncPrefectClient) -> None:
    """The work pool, which runs one thing at a time, where it is not there yet."""
    template = ProcessWorker.get_default_base_job_template()
    with contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", base_job_template=template, concurrency_limit=1)
        )
