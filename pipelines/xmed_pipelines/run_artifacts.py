"""Progress and results of a flow run as Prefect artifacts, and a log file where it failed."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from xmed.console.printable import Screen
from xmed.console.progress import PIPED_WIDTH, Lines, shown_by
from xmed.console.tables import show_result
from xmed.errors import XmedError
from xmed.files.uri import folder_uri
from xmed.processes.child import tie_all_children
from xmed.report import read
from xmed.server.process_environment import listen, prepare

UPDATE_SECONDS = 10.0
OUTSIDE = ("PACS_UNREACHABLE", "FETCH_FAILED", "REGISTRY_UNREACHABLE")
"""Codes of what may be better in ten minutes; whatever else went wrong will go wrong again."""


def alone() -> bool:
    """Whether a worker started this process for a flow run: nobody looks at it."""
    return bool(os.environ.get("PREFECT__FLOW_RUN_ID"))


@contextmanager
def unattended() -> Iterator[None]:
    """Under a worker, keep progress as artifacts and write a log of a fault; elsewhere the command does its own."""
    if not alone():
        yield
        return
    prepare()
    tie_all_children()
    journal = listen(debug=False)
    with shown_by(_Artifacts()):
        try:
            yield
        except Exception as problem:
            if not isinstance(problem, XmedError):
                logging.getLogger(__name__).error("an internal fault; log %s", journal.write(problem))
            raise


def worth_another_try(task: Any, run: Any, state: Any) -> bool:
    """Prefect's question before a retry: only where nobody waits, and only for what lies outside this machine."""
    del task, run
    problem = state.result(raise_on_failure=False)
    known = problem.code in OUTSIDE if isinstance(problem, XmedError) else isinstance(problem, ConnectionError)
    return alone() and known


def show(result: dict[str, Any]) -> None:
    """The result table and the report's place, as a Markdown artifact of the flow run that is at work."""
    report = read(Path(result["folder"]) / "report")
    text = StringIO()
    show_result(Screen(file=text, width=PIPED_WIDTH), result, report)
    place = Path(result["report"]).absolute()
    page = f"[{place}]({folder_uri(place)})\n\n```\n{text.getvalue()}\n```\n"
    with suppress(Exception):  # the run is done; a server that went away meanwhile does not undo it
        create_markdown_artifact(page, key="result", description=f"{result['run']}: {report['verdict']}")


class _Artifacts:
    """Progress as Prefect's progress artifacts, one for each piece of work, and as lines in the worker's output."""

    def __init__(self) -> None:
        self.lines, self.known = Lines(Screen(file=sys.stderr, width=PIPED_WIDTH)), dict[str, UUID]()
        self.told = dict[str, float]()

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        self.lines(what, done, total, note)
        share, now = 100.0 * done / max(total, 1), time.monotonic()
        if share < 100 and now - self.told.get(what, -UPDATE_SECONDS) < UPDATE_SECONDS:
            return
        self.told[what] = now
        with suppress(Exception):  # a server that does not answer is no reason to end a training
            if what not in self.known:
                key = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")
                found = create_progress_artifact(share, key=key, description=f"{what} {note}")
                self.known[what] = found if isinstance(found, UUID) else UUID(str(found))
            else:
                update_progress_artifact(self.known[what], progress=share, description=f"{what} {note}")
