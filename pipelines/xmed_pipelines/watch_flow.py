"""Watch flow: a study is adapted again when new data has come and is quiet, or when a drift check raises the alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect import flow

from xmed import monitor, registry
from xmed.app.arrival_watch import Watch, state_of
from xmed.app.check_drift import incoming
from xmed.app.external_validation import card_of
from xmed.app.plan import plan_dataset
from xmed.console.progress import report
from xmed.errors import XmedError
from xmed.run import home
from xmed.spec import Study
from xmed_pipelines.adapt_flow import AnyStudy, adapt
from xmed_pipelines.drift_flow import drift
from xmed_pipelines.run_artifacts import OUTSIDE, unattended

When = Literal["new", "drift"]


@flow(name="watch", persist_result=False)
def watch(
    study: AnyStudy,
    when: When = "new",
    data: str | None = None,
    minutes: float = 10.0,
    source_root: Path | None = None,
    target_root: Path | None = None,
    file: str | None = None,
) -> dict[str, Any]:
    """Look once: adapt if the data are new and have been quiet for so many minutes, and, with `drift`, have changed.

    data: what is held against the model in use (see `drift`); with `new` it is the study's target that is looked at.
    Data is dealt with once, whatever came of it, unless the cause lies outside: then the next look tries again.
    """
    with unattended():
        seen = Watch(home() / "watch" / f"{study.name}-{when}.json")
        state = _state(study, when, data, target_root)
        waiting = seen.due(state, minutes)
        report(f"watch {study.name}", 1, 1, waiting or "new, and quiet")
        if waiting:
            return {"started": False, "reason": waiting}
        try:
            result = _act(study, when, data, {"source_root": source_root, "target_root": target_root, "file": file})
        except XmedError as problem:
            if problem.code not in OUTSIDE:
                seen.done(state)
            raise
        seen.done(state)
        return result


def _act(study: Study, when: When, data: str | None, places: dict[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    if when == "drift":
        page = drift(in_use(study), str(data))
        found = monitor.read(Path(page["folder"]))
        checked = {"drift": {"verdict": found["verdict"], "reason": found["reason"], "report": page["report"]}}
        if found["verdict"] != "alarm":
            return {"started": False, "reason": found["reason"], **checked}
    return {"started": True, "reason": "new data", **checked, **adapt(study, **places)}


def in_use(study: Study) -> str:
    """The version of a study's model with the most trusted alias. Raises XmedError MODEL_NOT_FOUND."""
    for alias in registry.ALIASES:
        if registry.holder(study.register_as, alias, home()) is not None:
            return f"models:/{study.register_as}@{alias}"
    what = f"no version of {study.register_as} has an alias"
    raise XmedError("MODEL_NOT_FOUND", what, f"one of {', '.join(registry.ALIASES)}", f"xmed run {study.name}")


def _state(study: Study, when: When, data: str | None, target_root: Path | None) -> str:
    if when == "new":
        return state_of(plan_dataset(study.target, target_root), target_root)
    if data is None:
        raise XmedError("USAGE", "a watch for drift without data", "a dataset or a folder that is checked")
    return state_of(incoming(data, card_of(registry.fetch(in_use(study), home()))))
