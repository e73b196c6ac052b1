"""Flow that compares methods on one study."""

from __future__ import annotations

import functools
from pathlib import Path

from prefect import flow

from xmed.app import compare_methods
from xmed_pipelines.cluster import read_everywhere, train_everywhere
from xmed_pipelines.prefect_tasks import as_task
from xmed_pipelines.run_artifacts import unattended


@flow(name="compare", persist_result=False)
def compare(
    study: str,
    methods: list[str] | None = None,
    seeds: list[int] | None = None,
    source_root: Path | None = None,
    target_root: Path | None = None,
    resume: str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
) -> dict[str, str]:
    """The same study under several methods: ingest once, train every cell that is not there yet, judge, rank."""
    spread = functools.partial(read_everywhere, cluster) if cluster else None
    elsewhere = functools.partial(train_everywhere, cluster) if cluster else None
    with unattended():
        return compare_methods.compare(
            study, methods, seeds, source_root, target_root, resume, jobs, spread, elsewhere, call=as_task
        )
