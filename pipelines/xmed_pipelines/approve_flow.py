"""Flow that checks the gate of a model version, waits for a named person's decision, and records the answer."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from xmed import registry
from xmed.console.progress import report
from xmed.run import home
from xmed_pipelines.pending_approvals import note
from xmed_pipelines.prefect_tasks import as_task

POLL_S = 5


class Decision(RunInput):
    """What the person who is asked fills in, in Prefect's interface or through `xmed approve`."""

    decision: Literal["approve", "decline"] = "decline"
    by: str = Field("", description="the name of the person who answers for it")
    meaning: str = Field("", description="what the signature means: reviewed what, approved for what")
    record: str = Field("", description="the audit record, where the decision is on record already")


def check_gate(name: str, version: int, alias: str) -> dict[str, Any]:
    return registry.check(name, version, home(), alias=alias)


def record_decision(name: str, version: int, alias: str, given: Decision) -> dict[str, Any]:
    if given.record:
        return registry.decided(name, version, home(), alias=alias, record=given.record)
    return registry.approve(
        name, version, home(), by=given.by, meaning=given.meaning, alias=alias, decision=given.decision
    )


@flow(name="approve", persist_result=False)
def approve(name: str, version: int, alias: str = "clinical-evaluation", hours: float = 72.0) -> dict[str, Any]:
    """A registered version through the gate: nothing is asked of a person that the files have refused already.

    Under a deployment the run is suspended and its process ends; else it waits here. The identity of whoever answers is
    their own word, as everywhere in Prefect: the audit record adds the account under which the flow runs.
    """
    found = as_task(check_gate, name, version, alias)
    if found["approved"] or found["refused"]:
        return found
    asked = Decision.with_initial_data(description=f"{name} version {version} passed the gate. Give it `{alias}`?")
    marker = note(home(), str(flow_run.id), name, version, alias)
    report("approve", 0, 1, f"waiting for a decision: xmed approve {name} {version} --for {alias} --by … --meaning …")
    try:
        seconds = max(1, round(hours * 3600))
        if deployment.id:
            given = suspend_flow_run(asked, timeout=seconds)
        else:
            given = pause_flow_run(asked, timeout=seconds, poll_interval=POLL_S)
    except FlowPauseTimeout:
        late = {"code": "timeout", "text": f"nobody decided within {hours:g} h", "detail": []}
        return {**found, "refused": [late]}
    finally:
        if not deployment.id:
            marker.unlink(missing_ok=True)
    marker.unlink(missing_ok=True)
    return as_task(record_decision, name, version, alias, given)
