"""Runs the steps of a job as Prefect tasks; steps that need other machines are tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from xmed.app.steps import is_outward
from xmed_pipelines.run_artifacts import should_retry

P = ParamSpec("P")
R = TypeVar("R")
RETRY_SECONDS = [30.0, 120.0, 600.0]
"""Seconds before each further try: an archive or a tracking server that is down at night may be up by then."""


def as_task(step: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a step as a Prefect task.

    Prefect caches nothing: each step finds out by itself what it has done already.
    """
    options: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
    if is_outward(step):
        options |= {"retries": len(RETRY_SECONDS), "retry_delay_seconds": RETRY_SECONDS}
        options |= {"retry_condition_fn": should_retry}
    return task(**options)(step)(*args, **kwargs)
