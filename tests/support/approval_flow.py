"""The approval flow as a worker runs it in a test: the real gate, over small made-up reports."""

import os
from pathlib import Path

from support.registrable_runs import build, verify
from xmed import report

report.verify_report, report.write_report = verify, build

from xmed_pipelines.approve_flow import approve_flow as approve  # noqa: E402

__all__ = ["approve"]
if "PREFECT__FLOW_RUN_ID" in os.environ:  # a process of its own, which the worker started for a flow run
    with (Path(os.environ["XMED_HOME"]) / "processes").open("a") as file:
        file.write(f"{os.getpid()}\n")
