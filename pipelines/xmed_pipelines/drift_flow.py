"""Flow that checks incoming, unlabelled data against what a model was validated on."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from xmed.app import check_drift
from xmed.records.answers import DriftPage
from xmed_pipelines.prefect_tasks import as_task


@flow(name="drift", persist_result=False)
def drift_flow(model: str, data: str, data_root: Path | None = None) -> DriftPage:
    """Check whether new data still resembles what a model was validated on: ingest, measure, decide, report, log.

    Args:
        model: A registered model or a model folder.
        data: A dataset (name or YAML file), or a folder in which every file or DICOM folder is one case.
        data_root: Folder of the dataset's files, in place of the spec's.

    Returns:
        folder of the check, report (path of its page).
    """
    return check_drift.drift(model, data, data_root, call=as_task)
