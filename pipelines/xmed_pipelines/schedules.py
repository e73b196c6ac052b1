"""Schedules of studies: Prefect deployments of the flows `adapt` and `watch` in the work pool `xmed`."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import asdict
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

from xmed.app.arrival_watch import WatchParameters
from xmed.app.plan import Plan
from xmed.errors import XmedError
from xmed.processes.child import OWN_PROCESS
from xmed.records.answers import ScheduledStudy
from xmed.server.work_pool import POOL, TAG, make_pool
from xmed.spec import DatasetSpec, load_dataset
from xmed_pipelines.adapt_flow import adapt_flow
from xmed_pipelines.watch_flow import watch_flow

KINDS = ("adapt", "watch")
"""Flows that a study can be scheduled with: at a time, or when data has arrived."""


def cron_schedule(expression: str, timezone: str) -> CronSchedule:
    """Make a schedule from a cron expression.

    Args:
        expression: Minute, hour, day, month and weekday, such as "0 2 * * *".
        timezone: IANA name, such as Europe/Vienna.

    Raises:
        XmedError: USAGE, where either is invalid, or where the time never comes.
    """
    try:
        schedule = CronSchedule(cron=expression, timezone=timezone)
        _refuse_never(expression, timezone)
        return schedule
    except ValidationError as problem:
        message = "; ".join(f"{error['loc'][0]}: {error['msg']}" for error in problem.errors())
        expected = "minute hour day month weekday, such as '0 2 * * *', and a zone such as Europe/Vienna"
        raise XmedError("USAGE", f"--cron '{expression}' --timezone {timezone}: {message}", expected) from problem


def _refuse_never(expression: str, timezone: str) -> None:
    """Raise XmedError USAGE for an expression whose day never comes, such as 30 February."""
    if expression.startswith("@"):  # such as @daily
        return
    try:
        next(CronSim(expression, datetime.now(ZoneInfo(timezone))))
    except (CronSimError, StopIteration) as problem:
        what = f"--cron '{expression}' never comes: {problem or 'no such day within fifty years'}"
        raise XmedError("USAGE", what, "a day that there is, such as '0 2 * * *' for every night at two") from problem


def interval_schedule(minutes: float) -> IntervalSchedule:
    """Make a schedule that fires every so many minutes."""
    return IntervalSchedule(interval=timedelta(minutes=minutes))


def schedule_study(
    plan: Plan, schedule: SCHEDULE_TYPES, home: Path, source_root: Path | None = None, target_root: Path | None = None,
    file: str | None = None, watch: WatchParameters | None = None,
) -> ScheduledStudy:  # fmt: skip
    """Schedule a study; an earlier schedule of the same kind is replaced.

    Args:
        plan: The study with its datasets.
        schedule: When to run, or when to look.
        home: The home that runs write to.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        file: The study's name or path; see `adapt_flow`.
        watch: Parameters of `watch_flow`, where the schedule says when to look for data.

    Returns:
        The schedule's row of `list_schedules`.
    """
    roots = {"source_root": source_root, "target_root": target_root}
    given_roots = {name: str(path.absolute()) for name, path in roots.items() if path}
    kind = "watch" if watch else "adapt"
    deployment = RunnerDeployment.from_flow(
        watch_flow if watch else adapt_flow,
        plan.study.name,
        description=f"Adapts {plan.study.source} to {plan.study.target} and registers {plan.study.register_as}.",
        parameters={
            "study": plan.study.model_dump(mode="json"),
            "file": file,
            **given_roots,
            **(asdict(watch) if watch else {}),
        },
        tags=[TAG],
        work_pool_name=POOL,
        job_variables={
            "command": shlex.join([sys.executable, "-m", "prefect.engine"]),
            "working_dir": str(Path.cwd()),  # a study may name its datasets by paths from here
            "env": {"XMED_HOME": str(home), OWN_PROCESS: "1", **_variables_in_roots(plan, *_watched_dataset(watch))},
        },
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    with get_client(sync_client=True) as client:
        make_pool(client)
        # Updated, not made anew: a run of it may be at work and must report its end to the same deployment.
        action = DeploymentScheduleUpdate if _find(client, kind, plan.study.name) else DeploymentScheduleCreate
        deployment.schedules = [action(schedule=schedule, active=True)]
        deployment.apply(work_pool_name=POOL)
        applied = _find(client, kind, plan.study.name)
        assert applied is not None  # it was applied the line before
        return _row(client, applied)


def remove_schedules(name: str) -> list[ScheduledStudy]:
    """Remove the schedules of a study; runs, models and reports stay.

    Returns:
        The rows of `list_schedules` that were removed.

    Raises:
        XmedError: SCHEDULE_NOT_FOUND.
    """
    with get_client(sync_client=True) as client:
        deployments = [deployment for kind in KINDS if (deployment := _find(client, kind, name))]
        if not deployments:
            raise XmedError("SCHEDULE_NOT_FOUND", f"no schedule of a study '{name}'", "one that `xmed schedule` lists")
        rows = [_row(client, deployment) for deployment in deployments]
        for deployment in deployments:
            client.delete_deployment(deployment.id)
    return rows


def list_schedules() -> list[ScheduledStudy]:
    """List every schedule.

    Returns:
        The schedules by the name of their study.
    """
    with_tag = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(deployment_filter=with_tag)
        return [_row(client, deployment) for deployment in sorted(deployments, key=lambda entry: entry.name)]


def _find(client: SyncPrefectClient, kind: str, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(f"{kind}/{name}")
    except ObjectNotFound:
        return None


def _row(client: SyncPrefectClient, deployment: DeploymentResponse) -> ScheduledStudy:
    """A schedule as a row of `list_schedules`."""
    entry = deployment.schedules[0] if deployment.schedules else None
    schedule = entry and entry.schedule
    is_waiting = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    next_run = _first_run(client, deployment.id, FlowRunSort.EXPECTED_START_TIME_ASC, state=is_waiting)
    has_started = FlowRunFilterStartTime(is_null_=False)
    last_run = _first_run(client, deployment.id, FlowRunSort.START_TIME_DESC, start_time=has_started)
    return ScheduledStudy(
        study=deployment.name,
        schedule=_watch_condition(deployment) or getattr(schedule, "cron", None) or str(schedule),
        timezone=getattr(schedule, "timezone", None),
        active=bool(entry and entry.active and not deployment.paused),
        next=_local_time(next_run.expected_start_time) if next_run else None,
        last=last_run.state_name if last_run else None,
        last_at=_local_time(last_run.start_time) if last_run else None,
        last_said=last_run.state.message if last_run and last_run.state else None,
    )


def _watch_condition(deployment: DeploymentResponse) -> str | None:
    """What a watch waits for; None for a schedule by the clock."""
    parameters = deployment.parameters
    if "when" not in parameters:
        return None
    condition = f"drift of {parameters['data']}" if parameters["when"] == "drift" else "new data"
    return f"{condition}, {parameters['minutes']:g} min quiet"


def _first_run(client: SyncPrefectClient, deployment: UUID, sort: FlowRunSort, **conditions: Any) -> FlowRun | None:
    """The first flow run of a deployment in some order, among those that pass a filter."""
    run_filter = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]), **conditions)
    runs = client.read_flow_runs(flow_run_filter=run_filter, sort=sort, limit=1)
    return runs[0] if runs else None


def _local_time(moment: datetime | None) -> str | None:
    return moment.astimezone().isoformat(timespec="seconds") if moment else None


def _watched_dataset(watch: WatchParameters | None) -> list[DatasetSpec]:
    """The dataset that is watched for drift, where it is a dataset and no plain folder."""
    data = watch.data if watch else None
    return [load_dataset(data)] if data and not Path(data).is_dir() else []


def _variables_in_roots(plan: Plan, *more: DatasetSpec) -> dict[str, str]:
    """The environment variables in the roots of datasets, with today's values: a service may not have them."""
    names = {name for spec in (plan.source, plan.target, *more) for name in re.findall(r"\$\{?(\w+)\}?", spec.root)}
    return {name: os.environ[name] for name in sorted(names - {"XMED_HOME"}) if name in os.environ}
