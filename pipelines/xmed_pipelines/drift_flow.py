"""Flow that checks incoming, unlabelled data against what a model was validated on."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from xmed.app import check_drift
from xmed_pipelines.prefect_tasks import as_task


@flow(name="drift", persist_result=False)
def drift(model: str, data: str, data_root: Path | None = None) -> dict[str, str]:
    """Are these data still what the model was validated on: ingest, measure, judge, report, log.

    data: a dataset's name or YAML file, or a folder in which every file or DICOM folder is one case.
    """
    return check_drift.drift(model, data, data_root, call=as_task)
