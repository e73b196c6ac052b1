"""Suspended: the flow that a worker runs in a test of its own: the real gate, over reports of toys."""

import os
from pathlib import Path

from registered import build, verify

from xmed import report

report.verify, report.build = verify, build

from xmed_pipelines.approve_flow import approve_flow as approve  # noqa: E402

__all__ = ["approve"]
if "PREFECT__FLOW_RUN_ID" in os.environ:  # a process of its own, which the worker started for a flow run
    with (Path(os.environ["XMED_HOME"]) / "processes").open("a") as file:
        file.write(f"{os.getpid()}\n")
