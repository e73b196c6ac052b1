"""The work pool: where Prefect keeps scheduled runs until a worker of this home takes them, one at a time."""

from __future__ import annotations

import contextlib

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

POOL = TAG = "xmed"
RENAMED = {
    "pipelines.flows.adapt": "xmed_pipelines.adapt_flow.adapt_flow",
    "pipelines.watching.watch": "xmed_pipelines.watch_flow.watch_flow",
}
"""Where the flows are now that schedules made by version 0.1.0 name."""


def make_pool(client: SyncPrefectClient) -> None:
    """Make the work pool, which runs one thing at a time, where it is not there yet.

    Args:
        client: A client of Prefect's server.
    """
    template = ProcessWorker.get_default_base_job_template()
    with contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", base_job_template=template, concurrency_limit=1)
        )


def renew_entrypoints(client: SyncPrefectClient) -> None:
    """Make schedules of version 0.1.0 start today's flows."""
    with_tag = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    for deployment in client.read_deployments(deployment_filter=with_tag):
        entrypoint = RENAMED.get(deployment.entrypoint or "")
        if entrypoint:
            client.update_deployment(deployment.id, DeploymentUpdate(entrypoint=entrypoint))
