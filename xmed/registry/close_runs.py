"""Marks MLflow runs whose process was killed."""

from __future__ import annotations

from pathlib import Path

from xmed.registry.tracking_store import client

REASON_TAG = "xmed.closed"


def close_tracked_run(run_id: str, home: Path, reason: str) -> None:
    """Mark an MLflow run KILLED with a reason; a run of the same study that continues logs what is still missing.

    Args:
        run_id: Id of the MLflow run.
        home: The home.
        reason: Why it is closed, as its tag `xmed.closed`.
    """
    mlflow_client = client(home)
    mlflow_client.set_tag(run_id, REASON_TAG, reason)
    mlflow_client.set_terminated(run_id, "KILLED")
