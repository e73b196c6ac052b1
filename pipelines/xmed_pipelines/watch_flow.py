"""Flow that runs a study again when new data has arrived, or when a drift check raises an alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect import flow

from xmed import monitor, registry
from xmed.app.arrival_watch import Watch, state_of
from xmed.app.check_drift import incoming
from xmed.app.external_validation import card_of
from xmed.app.plan import plan_dataset
from xmed.console.progress_display import report
from xmed.errors import XmedError
from xmed.home import Home
from xmed.run import home
from xmed.spec import Study
from xmed_pipelines.adapt_flow import AnyStudy, adapt_flow
from xmed_pipelines.drift_flow import drift_flow
from xmed_pipelines.prefect_tasks import TEMPORARY_ERRORS, watched_by_prefect

When = Literal["new", "drift"]
"""Run when data is new, or only when it has also changed."""


@flow(name="watch", persist_result=False)
def watch_flow(
    study: AnyStudy,
    when: When = "new",
    data: str | None = None,
    minutes: float = 10.0,
    source_root: Path | None = None,
    target_root: Path | None = None,
    file: str | None = None,
) -> dict[str, Any]:
    """Look once at incoming data, and run the study if the data is new, complete and, with `drift`, has changed.

    The same data is handled once, whatever the result, except after an error whose cause is on another machine: then
    the next look tries again.

    Args:
        study: The study to run.
        when: `new`: look at the study's target. `drift`: look at `data`, and check it for drift.
        data: With `drift`: a dataset, or a folder with a file or DICOM folder per case.
        minutes: How long data must not have changed to count as complete.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        file: The study's name or path; see `adapt_flow`.
    """
    with watched_by_prefect():
        arrivals = Watch(Home.current().watched / f"{study.name}-{when}.json")
        state = _data_state(study, when, data, target_root)
        reason = arrivals.due(state, minutes)
        report(f"watch {study.name}", 1, 1, reason or "new, and quiet")
        if reason:
            return {"started": False, "reason": reason}
        try:
            result = _check_and_adapt(
                study, when, data, {"source_root": source_root, "target_root": target_root, "file": file}
            )
        except XmedError as problem:
            if problem.code not in TEMPORARY_ERRORS:
                arrivals.done(state)
            raise
        arrivals.done(state)
        return result


def _check_and_adapt(study: Study, when: When, data: str | None, roots: dict[str, Any]) -> dict[str, Any]:
    """Run the study, with `drift` only if the check raises an alarm."""
    checked: dict[str, Any] = {}
    if when == "drift":
        result = drift_flow(model_in_use(study), str(data))
        check = monitor.read_drift_check(Path(result["folder"]))
        checked = {"drift": {"verdict": check.verdict, "reason": check.reason, "report": result["report"]}}
        if check.verdict != "alarm":
            return {"started": False, "reason": check.reason, **checked}
    return {"started": True, "reason": "new data", **checked, **adapt_flow(study, **roots)}


def model_in_use(study: Study) -> str:
    """Find the version of a study's model that has the highest alias, such as models:/NAME@clinical-use.

    Raises:
        XmedError: MODEL_NOT_FOUND, where no version has an alias.
    """
    for alias in registry.ALIASES:
        if registry.holder(study.register_as, alias, home()) is not None:
            return f"models:/{study.register_as}@{alias}"
    what = f"no version of {study.register_as} has an alias"
    raise XmedError("MODEL_NOT_FOUND", what, f"one of {', '.join(registry.ALIASES)}", f"xmed run {study.name}")


def _data_state(study: Study, when: When, data: str | None, target_root: Path | None) -> str:
    """sha256 (hex) of the data that is looked at."""
    if when == "new":
        return state_of(plan_dataset(study.target, target_root), target_root)
    if data is None:
        raise XmedError("USAGE", "a watch for drift without data", "a dataset or a folder that is checked")
    return state_of(incoming(data, card_of(registry.fetch(model_in_use(study), home()))))
