"""Flows that ingest a dataset, adapt a study and validate a model."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import BeforeValidator

from xmed.app import adapt as job
from xmed.app import external_validation
from xmed.app.plan import plan_dataset
from xmed.spec import Study, load_study
from xmed_pipelines.cluster import read_everywhere
from xmed_pipelines.prefect_tasks import as_task
from xmed_pipelines.run_artifacts import show, unattended

AnyStudy = Annotated[Study, BeforeValidator(lambda given: load_study(given) if isinstance(given, str) else given)]
"""A study by name, by path, or whole; to Prefect's pages it is a form with the study's fields."""


@flow(name="ingest", persist_result=False)
def ingest(spec: str, root: Path | None = None, cluster: str | None = None) -> dict[str, Any]:
    """A dataset spec → store and quarantine."""
    plan_dataset(spec, root)
    spread = functools.partial(read_everywhere, cluster) if cluster else None
    return as_task(job.ingest_dataset, spec, root, spread)


@flow(name="adapt", persist_result=False)
def adapt(
    study: AnyStudy,
    seeds: list[int] | None = None,
    source_root: Path | None = None,
    target_root: Path | None = None,
    resume: str | None = None,
    file: str | None = None,
) -> dict[str, Any]:
    """The main job: ingest both, train all arms, decide whether to adapt, evaluate, report, log, register the model.

    file: the study's name or path, if it came from one: a text that people wrote of it stands beside.
    """
    with unattended():
        result = job.adapt(study, seeds, source_root, target_root, resume, file, call=as_task)
        show(result)
    return result


@flow(name="validate", persist_result=False)
def validate(model: str, spec: str, protocol: Path | None = None, data_root: Path | None = None) -> dict[str, Any]:
    """External validation: a finished model on a labelled dataset it was not made from; ingest, evaluate, report."""
    return external_validation.validate(model, spec, protocol, data_root, call=as_task)
