"""Pending approvals: who waits for a person's decision about a model, in which flow, and how they are told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.server.prefect_server import use_server
from xmed.server.process_environment import open_home

FOLDER = "waiting"


def note(home: Path, flow_run: str, name: str, version: int, alias: str) -> Path:
    """Leave word that a flow waits, so that whoever decides elsewhere can wake it; returns the note."""
    path = home / FOLDER / f"{flow_run}.json"
    document = {"flow_run": flow_run, "name": name, "version": version, "alias": alias}
    write_atomically(path, json.dumps(document, indent=1) + "\n")
    return path


def tell_who_waits(home: Path, answer: dict[str, Any], meaning: str) -> int:
    """Wake every flow that waits for this decision, which is on record already; returns how many there were.

    A refusal wakes nobody: the flow goes on waiting for what was refused to be put right.
    """
    if not (answer["approved"] or answer.get("declined")):
        return 0
    asked = {key: answer[key] for key in ("name", "version", "alias")}
    told = 0
    for path in sorted((home / FOLDER).glob("*.json")):
        try:
            document = documents.read_mapping(path)
        except XmedError:  # damaged: it names no flow that could be woken
            continue
        flow_run = document.pop("flow_run", None)
        if flow_run and document == asked:
            told += _wake(home, flow_run, answer, meaning)
            path.unlink(missing_ok=True)
    return told


def _wake(home: Path, flow_run: str, answer: dict[str, Any], meaning: str) -> bool:
    """Resume a paused flow; one that was killed, or has been woken already, is passed over."""
    open_home()
    use_server(home)
    from uuid import UUID

    from prefect.exceptions import FlowRunWaitTimeout, NotPausedError, ObjectNotFound
    from prefect.flow_runs import resume_flow_run

    decision = "decline" if answer.get("declined") else "approve"
    given = {"decision": decision, "by": answer["by"], "meaning": meaning, "record": answer.get("record", "")}
    try:
        resume_flow_run(UUID(flow_run), run_input=given)
    except (NotPausedError, ObjectNotFound, FlowRunWaitTimeout):
        return False
    return True
