"""The flow that runs a study: ingest, train, adapt, validate, report, register."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import BeforeValidator

from xmed.app import adapt as job
from xmed.records.answers import AdaptedRun
from xmed.spec import Study, load_study
from xmed_pipelines.prefect_tasks import as_task, publish_result, watched_by_prefect

AnyStudy = Annotated[Study, BeforeValidator(lambda value: load_study(value) if isinstance(value, str) else value)]
"""A study: its name, its path, or all its fields. Prefect's pages show it as a form with the study's fields."""


@flow(name="adapt", persist_result=False)
def adapt_flow(
    study: AnyStudy,
    seeds: list[int] | None = None,
    source_root: Path | None = None,
    target_root: Path | None = None,
    resume: str | None = None,
    file: str | None = None,
) -> AdaptedRun:
    """Run a study: ingest both datasets, train all arms, select, validate, report, register the model.

    Args:
        study: The study.
        seeds: Random seeds, in place of the study's.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        resume: Id or folder of the run to continue.
        file: The study's name or path, where it came from one: a YAML file beside it may hold human answers.

    Returns:
        The run, its folder, the path of its page, and what became of its model in the registry.
    """
    with watched_by_prefect():
        result = job.adapt(study, seeds, source_root, target_root, resume, file, call=as_task)
        publish_result(result)
    return result
