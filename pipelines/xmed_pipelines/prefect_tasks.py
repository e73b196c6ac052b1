"""Runs the steps of a job as Prefect tasks, and shows the progress and the result of a flow run on Prefect's pages."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from xmed.app.steps import is_outward
from xmed.console.printable import SafeConsole
from xmed.console.progress_display import PIPED_WIDTH, ProgressLines, shown_by
from xmed.console.tables import show_result
from xmed.errors import XmedError
from xmed.files.uri import folder_uri
from xmed.processes.child import tie_all_children
from xmed.records.answers import AdaptedRun
from xmed.report import read_report
from xmed.server.fault_log import start_journal
from xmed.server.process_environment import prepare_environment

UPDATE_SECONDS = 10.0
TEMPORARY_ERRORS = ("PACS_UNREACHABLE", "FETCH_FAILED", "REGISTRY_UNREACHABLE")
"""Codes of errors whose cause is on another machine and may be gone in ten minutes; others would occur again."""
P = ParamSpec("P")
R = TypeVar("R")
RETRY_SECONDS = [30.0, 120.0, 600.0]
"""Seconds before each further try: an archive or a tracking server that is down at night may be up by then."""


def runs_under_worker() -> bool:
    """Whether a Prefect worker started this process for a flow run, so that nobody watches its output."""
    return bool(os.environ.get("PREFECT__FLOW_RUN_ID"))


@contextmanager
def watched_by_prefect() -> Iterator[None]:
    """Under a worker, show progress as artifacts and write a log file after a fault; elsewhere the command does so."""
    if not runs_under_worker():
        yield
        return
    prepare_environment()
    tie_all_children()
    journal = start_journal(debug=False)
    with shown_by(_ProgressArtifacts()):
        try:
            yield
        except Exception as problem:
            if not isinstance(problem, XmedError):
                logging.getLogger(__name__).error("an internal fault; log %s", journal.write(problem))
            raise


def should_retry(task: Any, run: Any, state: Any) -> bool:
    """Answer Prefect's question before a retry: only under a worker, and only for causes on other machines."""
    del task, run
    problem = state.result(raise_on_failure=False)
    is_temporary = (
        problem.code in TEMPORARY_ERRORS if isinstance(problem, XmedError) else isinstance(problem, ConnectionError)
    )
    return runs_under_worker() and is_temporary


def publish_result(result: AdaptedRun) -> None:
    """Publish the result table and the report's path as a Markdown artifact of the current flow run.

    Args:
        result: What the job `adapt` returned.
    """
    report = read_report(Path(result.folder) / "report")
    text = StringIO()
    show_result(SafeConsole(file=text, width=PIPED_WIDTH), result, report)
    path = Path(result.report).absolute()
    page = f"[{path}]({folder_uri(path)})\n\n```\n{text.getvalue()}\n```\n"
    with suppress(Exception):  # the run is done, whether or not the server still answers
        create_markdown_artifact(page, key="result", description=f"{result.run}: {report.verdict}")


class _ProgressArtifacts:
    """Shows progress as Prefect artifacts, one for each piece of work, and as lines in the worker's output."""

    def __init__(self) -> None:
        self.lines = ProgressLines(SafeConsole(file=sys.stderr, width=PIPED_WIDTH))
        self.artifacts, self.updated = dict[str, UUID](), dict[str, float]()

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        self.lines(what, done, total, note)
        share, now = 100.0 * done / max(total, 1), time.monotonic()
        if share < 100 and now - self.updated.get(what, -UPDATE_SECONDS) < UPDATE_SECONDS:
            return
        self.updated[what] = now
        with suppress(Exception):  # a server that does not answer must not end a training
            if what not in self.artifacts:
                key = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")
                artifact = create_progress_artifact(share, key=key, description=f"{what} {note}")
                self.artifacts[what] = artifact if isinstance(artifact, UUID) else UUID(str(artifact))
            else:
                update_progress_artifact(self.artifacts[what], progress=share, description=f"{what} {note}")


def as_task(step: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a step as a Prefect task.

    Prefect caches nothing: each step finds out by itself what it has done already.
    """
    options: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
    if is_outward(step):
        options |= {"retries": len(RETRY_SECONDS), "retry_delay_seconds": RETRY_SECONDS}
        options |= {"retry_condition_fn": should_retry}
    return task(**options)(step)(*args, **kwargs)
