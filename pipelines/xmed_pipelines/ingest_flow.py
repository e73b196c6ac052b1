"""The flow that reads a dataset's images into the store. It loads no torch."""

from __future__ import annotations

import functools
from pathlib import Path

from prefect import flow

from xmed.app.plan import plan_dataset
from xmed.app.read_dataset import ingest_dataset
from xmed.cohort import ReadShards
from xmed_pipelines.prefect_tasks import as_task


@flow(name="ingest", persist_result=False)
def ingest_flow(spec: str, root: Path | None = None, cluster: str | None = None) -> dict[str, str]:
    """Read a dataset's images into the store; images that cannot be read go to quarantine.

    Args:
        spec: A dataset: its name or YAML file.
        root: Folder of the dataset's files, in place of the spec's.
        cluster: Address of a Dask cluster that reads them.

    Returns:
        name and fingerprint of the dataset.
    """
    plan_dataset(spec, root)
    spread: ReadShards | None = None
    if cluster:
        from xmed_pipelines.cluster import read_on_cluster  # loads torch: a cluster also trains

        spread = functools.partial(read_on_cluster, cluster)
    return as_task(ingest_dataset, spec, root, spread)
