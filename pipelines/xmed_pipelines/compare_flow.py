"""Flow that compares methods on one study."""

from __future__ import annotations

import functools
from pathlib import Path

from prefect import flow

from xmed.app import compare_methods
from xmed.records.answers import ComparedRun
from xmed_pipelines.cluster import read_on_cluster, train_on_cluster
from xmed_pipelines.prefect_tasks import as_task, watched_by_prefect


@flow(name="compare", persist_result=False)
def compare_flow(
    study: str,
    methods: list[str] | None = None,
    seeds: list[int] | None = None,
    source_root: Path | None = None,
    target_root: Path | None = None,
    resume: str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
) -> ComparedRun:
    """Run a study with several methods: ingest once, train what is missing, evaluate, rank.

    Args:
        study: The study: its name or YAML file.
        methods: Names of methods, or `all`.
        seeds: Random seeds, in place of the study's.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        resume: Id or folder of the comparison to continue.
        jobs: Trainings at the same time on this machine; None: as many as cores.
        cluster: Address of a Dask cluster that trains.

    Returns:
        run (its id), folder, page (path of the comparison's page).
    """
    spread = functools.partial(read_on_cluster, cluster) if cluster else None
    elsewhere = functools.partial(train_on_cluster, cluster) if cluster else None
    with watched_by_prefect():
        return compare_methods.compare(
            study, methods, seeds, source_root, target_root, resume, jobs, spread, elsewhere, call=as_task
        )
