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
from xmed.records.answers import AdaptedRun, ValidatedRun
from xmed.spec import Study, load_study
from xmed_pipelines.cluster import read_on_cluster
from xmed_pipelines.prefect_tasks import as_task, publish_result, watched_by_prefect

AnyStudy = Annotated[Study, BeforeValidator(lambda value: load_study(value) if isinstance(value, str) else value)]
"""A study: its name, its path, or all its fields. Prefect's pages show it as a form with the study's fields."""


@flow(name="ingest", persist_result=False)
def ingest_flow(spec: str, root: Path | None = None, cluster: str | None = None) -> dict[str, Any]:
    """Read a dataset's images into the store; images that cannot be read go to quarantine.

    Args:
        spec: A dataset: its name or YAML file.
        root: Folder of the dataset's files, in place of the spec's.
        cluster: Address of a Dask cluster that reads them.
    """
    plan_dataset(spec, root)
    spread = functools.partial(read_on_cluster, cluster) if cluster else None
    return as_task(job.ingest_dataset, spec, root, spread)


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
    """
    with watched_by_prefect():
        result = job.adapt(study, seeds, source_root, target_root, resume, file, call=as_task)
        publish_result(result)
    return result


@flow(name="validate", persist_result=False)
def validate_flow(model: str, spec: str, protocol: Path | None = None, data_root: Path | None = None) -> ValidatedRun:
    """Validate a finished model on a labelled dataset that it was not made from.

    Args:
        model: A registered model or a model folder.
        spec: A dataset: its name or YAML file.
        protocol: A YAML file that says what counts as success, in place of the model's own protocol.
        data_root: Folder of the dataset's files, in place of the spec's.
    """
    return external_validation.validate(model, spec, protocol, data_root, call=as_task)
