"""The flow that validates a finished model on data that it was not made from."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from xmed.app import external_validation
from xmed.records.answers import ValidatedRun
from xmed_pipelines.prefect_tasks import as_task


@flow(name="validate", persist_result=False)
def validate_flow(model: str, spec: str, protocol: Path | None = None, data_root: Path | None = None) -> ValidatedRun:
    """Validate a finished model on a labelled dataset that it was not made from.

    Args:
        model: A registered model or a model folder.
        spec: A dataset: its name or YAML file.
        protocol: A YAML file that says what counts as success, in place of the model's own protocol.
        data_root: Folder of the dataset's files, in place of the spec's.

    Returns:
        The run of the validation, its verdict, and the path of its page.
    """
    return external_validation.validate(model, spec, protocol, data_root, call=as_task)
