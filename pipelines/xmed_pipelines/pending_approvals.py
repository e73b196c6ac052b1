"""Flows that wait for a person's decision about a model: noted in the home, and resumed when somebody has decided."""

from __future__ import annotations

import json
from pathlib import Path

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.records.model_version import VersionDecision
from xmed.server.prefect_server import use_server
from xmed.server.process_environment import open_home

FOLDER = "waiting"


def note_waiting_flow(home: Path, flow_run: str, name: str, version: int, alias: str) -> Path:
    """Write a file that says that a flow waits, so that a decision elsewhere can resume it.

    Args:
        home: The home.
        flow_run: Id of the flow run that waits.
        name: The model.
        version: Its version.
        alias: The alias that is asked for.

    Returns:
        The file.
    """
    path = home / FOLDER / f"{flow_run}.json"
    document = {"flow_run": flow_run, "name": name, "version": version, "alias": alias}
    write_atomically(path, json.dumps(document, indent=1) + "\n")
    return path


def resume_waiting_flows(home: Path, answer: VersionDecision, meaning: str) -> int:
    """Resume every flow that waits for a decision which is on record already.

    A refusal resumes none: the flow waits on, until what was refused is put right.

    Args:
        home: The home.
        answer: What `xmed.registry.approve` returned.
        meaning: What the person's signature means.

    Returns:
        How many flows were resumed.
    """
    if not (answer.approved or answer.declined):
        return 0
    decided = {"name": answer.name, "version": answer.version, "alias": answer.alias}
    resumed = 0
    for path in sorted((home / FOLDER).glob("*.json")):
        try:
            document = documents.read_mapping(path)
        except XmedError:  # damaged: it names no flow that could be resumed
            continue
        flow_run = document.pop("flow_run", None)
        if isinstance(flow_run, str) and document == decided:
            resumed += _resume(home, flow_run, answer, meaning)
            path.unlink(missing_ok=True)
    return resumed


def _resume(home: Path, flow_run: str, answer: VersionDecision, meaning: str) -> bool:
    """Resume a paused flow; False for one that was killed or has been resumed already."""
    open_home()
    use_server(home)
    from uuid import UUID

    from prefect.exceptions import FlowRunWaitTimeout, NotPausedError, ObjectNotFound
    from prefect.flow_runs import resume_flow_run

    decision = "decline" if answer.declined else "approve"
    run_input = {"decision": decision, "by": answer.by, "meaning": meaning, "record": answer.record or ""}
    try:
        resume_flow_run(UUID(flow_run), run_input=run_input)
    except (NotPausedError, ObjectNotFound, FlowRunWaitTimeout):
        return False
    return True
