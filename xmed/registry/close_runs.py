"""Close runs: an MLflow run whose process was killed is said to be."""

from __future__ import annotations

from pathlib import Path

from xmed.registry.tracking_store import client

REASON_TAG = "xmed.closed"


def close(run_id: str, home: Path, reason: str) -> None:
    """Mark a run KILLED, and say why. A run of the same study that goes on logs what is still missing."""
    mlflow_client = client(home)
    mlflow_client.set_tag(run_id, REASON_TAG, reason)
    mlflow_client.set_terminated(run_id, "KILLED")
