"""Flow that checks a model version, waits for a person's decision, and records it."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from xmed import registry
from xmed.console.progress_display import report
from xmed.records.model_version import RefusalReason, VersionDecision
from xmed.run import home
from xmed_pipelines.pending_approvals import note_waiting_flow
from xmed_pipelines.prefect_tasks import as_task

POLL_SECONDS = 5


class Decision(RunInput):
    """The form that a person fills in, on Prefect's pages or through `xmed approve`."""

    decision: Literal["approve", "decline"] = "decline"
    by: str = Field("", description="full name of the person who decides")
    meaning: str = Field("", description="what the signature means: what was reviewed, what it is approved for")
    record: str = Field("", description="the audit record, where the decision was recorded already")


def check_gate(name: str, version: int, alias: str) -> VersionDecision:
    """Check whether a version may have an alias, without a person."""
    return registry.check_version(name, version, home(), alias=alias)


def record_decision(name: str, version: int, alias: str, given: Decision) -> VersionDecision:
    """Record a decision, unless `xmed approve` has recorded it already; returns the answer of the registry."""
    if given.record:
        return registry.decided(name, version, home(), alias=alias, record=given.record)
    return registry.approve(
        name, version, home(), by=given.by, meaning=given.meaning, alias=alias, decision=given.decision
    )


@flow(name="approve", persist_result=False)
def approve_flow(name: str, version: int, alias: str = "clinical-evaluation", hours: float = 72.0) -> VersionDecision:
    """Check a registered version and, where it passes, wait for a person who approves or declines it.

    Under a deployment the flow run is suspended and its process ends; elsewhere it waits in this process. Prefect does
    not check who answers: the audit record adds the account under which the flow runs.

    Args:
        name: The registered model.
        version: Its version.
        alias: The alias that is asked for: clinical-evaluation or clinical-use.
        hours: How long to wait.

    Returns:
        The decision, or what speaks against the version.
    """
    answer = as_task(check_gate, name, version, alias)
    if answer.approved or answer.refused:
        return answer
    form = Decision.with_initial_data(description=f"{name} version {version} passed the gate. Give it `{alias}`?")
    marker = note_waiting_flow(home(), str(flow_run.id), name, version, alias)
    report("approve", 0, 1, f"waiting for a decision: xmed approve {name} {version} --for {alias} --by … --meaning …")
    try:
        seconds = max(1, round(hours * 3600))
        if deployment.id:
            decision = suspend_flow_run(form, timeout=seconds)
        else:
            decision = pause_flow_run(form, timeout=seconds, poll_interval=POLL_SECONDS)
    except FlowPauseTimeout:
        reason = RefusalReason(code="timeout", text=f"nobody decided within {hours:g} h", detail=[])
        return answer.model_copy(update={"refused": [reason]})
    finally:
        if not deployment.id:
            marker.unlink(missing_ok=True)
    marker.unlink(missing_ok=True)
    return as_task(record_decision, name, version, alias, decision)
