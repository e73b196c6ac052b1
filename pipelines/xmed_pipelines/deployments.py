"""Deployments: studies that Prefect starts by itself: deployments of `adapt` and `watch` in the work pool `xmed`."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentScheduleUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from xmed.app.plan import Plan
from xmed.errors import XmedError
from xmed.server.work_pool import POOL, TAG, make_pool
from xmed.spec import DatasetSpec, load_dataset
from xmed_pipelines import adapt_flow, watch_flow

KINDS = ("adapt", "watch")
"""Flows that a study can be scheduled for: at a time, or when something has come."""


def cron(expression: str, timezone: str) -> CronSchedule:
    """A cron expression in a time zone (IANA). Raises XmedError USAGE."""
    try:
        found = CronSchedule(cron=expression, timezone=timezone)
        _refuse_never(expression, timezone)
        return found
    except ValidationError as problem:
        said = "; ".join(f"{error['loc'][0]}: {error['msg']}" for error in problem.errors())
        expected = "minute hour day month weekday, such as '0 2 * * *', and a zone such as Europe/Vienna"
        raise XmedError("USAGE", f"--cron '{expression}' --timezone {timezone}: {said}", expected) from problem


def _refuse_never(expression: str, timezone: str) -> None:
    """Raises XmedError USAGE for an expression whose day never comes, such as 30 February."""
    if expression.startswith("@"):  # a word for one that does
        return
    try:
        next(CronSim(expression, datetime.now(ZoneInfo(timezone))))
    except (CronSimError, StopIteration) as problem:
        what = f"--cron '{expression}' never comes: {problem or 'no such day within fifty years'}"
        raise XmedError("USAGE", what, "a day that there is, such as '0 2 * * *' for every night at two") from problem


def every(minutes: float) -> IntervalSchedule:
    """A look every so many minutes."""
    return IntervalSchedule(interval=timedelta(minutes=minutes))


def add(
    plan: Plan, schedule: SCHEDULE_TYPES, home: Path, source_root: Path | None = None, target_root: Path | None = None,
    file: str | None = None, watch: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Schedule a study, in place of an earlier schedule of its kind; returns what `listed` says of it.

    file: the study's name or path, beside which people wrote of it. watch: what to look for (`when`, `data`, `minutes`
    of the flow `watch`), where the schedule says when to look and not when to run.
    """
    roots = {"source_root": source_root, "target_root": target_root}
    where = {name: str(path.absolute()) for name, path in roots.items() if path}
    kind = "watch" if watch else "adapt"
    deployment = RunnerDeployment.from_flow(
        watch_flow.watch if watch else adapt_flow.adapt,
        plan.study.name,
        description=f"Adapts {plan.study.source} to {plan.study.target} and registers {plan.study.register_as}.",
        parameters={"study": plan.study.model_dump(mode="json"), "file": file, **where, **(watch or {})},
        tags=[TAG],
        work_pool_name=POOL,
        job_variables={
            "command": shlex.join([sys.executable, "-m", "prefect.engine"]),
            "working_dir": str(Path.cwd()),  # a study may name its datasets by paths from here
            "env": {"XMED_HOME": str(home), **_expanded(plan, *_checked(watch or {}))},
        },
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    with get_client(sync_client=True) as client:
        make_pool(client)
        # In place: a run of it may be at work, and has a deployment to report its end to.
        made = DeploymentScheduleUpdate if _find(client, kind, plan.study.name) else DeploymentScheduleCreate
        deployment.schedules = [made(schedule=schedule, active=True)]
        deployment.apply(work_pool_name=POOL)
        found = _find(client, kind, plan.study.name)
        assert found is not None  # it was applied the line before
        return _told(client, found)


def remove(name: str) -> list[dict[str, Any]]:
    """Forget the schedules of a study; what they made stays. Raises XmedError SCHEDULE_NOT_FOUND."""
    with get_client(sync_client=True) as client:
        found = [one for kind in KINDS if (one := _find(client, kind, name))]
        if not found:
            raise XmedError("SCHEDULE_NOT_FOUND", f"no schedule of a study '{name}'", "one that `xmed schedule` lists")
        told = [_told(client, one) for one in found]
        for one in found:
            client.delete_deployment(one.id)
    return told


def listed() -> list[dict[str, Any]]:
    """Every scheduled study: name, cron, timezone, active, next (when), last (state, when and what it said)."""
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    with get_client(sync_client=True) as client:
        found = client.read_deployments(deployment_filter=ours)
        return [_told(client, one) for one in sorted(found, key=lambda one: one.name)]


def _find(client: SyncPrefectClient, kind: str, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(f"{kind}/{name}")
    except ObjectNotFound:
        return None


def _told(client: SyncPrefectClient, found: DeploymentResponse) -> dict[str, Any]:
    schedule = found.schedules[0] if found.schedules else None
    waiting = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    coming = _run(client, found.id, FlowRunSort.EXPECTED_START_TIME_ASC, state=waiting)
    begun = FlowRunFilterStartTime(is_null_=False)
    last = _run(client, found.id, FlowRunSort.START_TIME_DESC, start_time=begun)
    return {
        "study": found.name,
        "schedule": _when_to(found)
        or getattr(schedule and schedule.schedule, "cron", None)
        or str(schedule and schedule.schedule),
        "timezone": getattr(schedule and schedule.schedule, "timezone", None),
        "active": bool(schedule and schedule.active and not found.paused),
        "next": coming and _when(coming.expected_start_time),
        "last": last and last.state_name,
        "last_at": last and _when(last.start_time),
        "last_said": last and last.state and last.state.message,
    }


def _when_to(found: DeploymentResponse) -> str | None:
    """What a watch waits for; None for a schedule by the clock."""
    asked = found.parameters
    if "when" not in asked:
        return None
    what = f"drift of {asked['data']}" if asked["when"] == "drift" else "new data"
    return f"{what}, {asked['minutes']:g} min quiet"


def _run(client: SyncPrefectClient, deployment: UUID, sort: FlowRunSort, **only: Any) -> FlowRun | None:
    """The first flow run of a deployment in some order, among those that pass a filter."""
    its = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]), **only)
    found = client.read_flow_runs(flow_run_filter=its, sort=sort, limit=1)
    return found[0] if found else None


def _when(moment: datetime | None) -> str | None:
    return moment.astimezone().isoformat(timespec="seconds") if moment else None


def _checked(watch: Mapping[str, Any]) -> list[DatasetSpec]:
    """The dataset that is watched for drift, where it is one and no plain folder."""
    data = watch.get("data")
    return [load_dataset(data)] if data and not Path(data).is_dir() else []


def _expanded(plan: Plan, *more: DatasetSpec) -> dict[str, str]:
    """The environment variables that the datasets' roots name, as they are now: a service may not know them."""
    names = {name for spec in (plan.source, plan.target, *more) for name in re.findall(r"\$\{?(\w+)\}?", spec.root)}
    return {name: os.environ[name] for name in sorted(names - {"XMED_HOME"}) if name in os.environ}
