"""Compare flow: the flow of `xmed compare`: both datasets once, every method and seed, one table."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow

from xmed import compare as comparison
from xmed import train
from xmed.app.plan import plan_comparison
from xmed.console.progress import FAILED, lay_out, report
from xmed.console.run_lock import turn
from xmed.errors import XmedError
from xmed.methods import COMPOSITIONS
from xmed.run import Run, home
from xmed.server.process_environment import stoppable
from xmed.spec import load_study
from xmed_pipelines.adapt_flow import (
    describe_data,
    describe_environment,
    evaluate_run,
    ingest_dataset,
    nothing_left_of,
    step,
)
from xmed_pipelines.cluster import train_everywhere
from xmed_pipelines.run_artifacts import unattended

TRACE = 4000
"""Characters of a fault's traceback that are kept."""


@step
def train_methods(folder: Path, jobs: int | None, cluster: str | None) -> None:
    """Train every cell; one that fails is written down, and the others go on. Without source-only there is no table."""
    run, failed = Run(folder), list[dict[str, Any]]()

    def refuse(arm: str, seed: int, problem: Exception) -> None:
        if arm == "source_only":
            raise problem
        code = problem.code if isinstance(problem, XmedError) else "FAULT"
        message = problem.what if isinstance(problem, XmedError) else f"{type(problem).__name__}: {problem}"
        message = " ".join(message.split())[:300]
        if code == "FAULT":
            text = "".join(traceback.format_exception(problem))
            logging.getLogger(__name__).info("%s seed %s\n%s", arm, seed, text)
            (run.folder / f"fault-{arm}-seed{seed}.log").write_text(text[-TRACE:], encoding="utf-8")
        failed.append({"method": arm, "seed": seed, "code": code, "message": message})
        run.write("failed", failed)
        report(f"train {arm} seed {seed}", 1, 1, FAILED + message)

    run.write("failed", failed)  # a resumed comparison tries again
    lay_out(run.methods, run.study.seeds)
    for arm, seed in run.arms():
        report(f"train {arm} seed {seed}", 1, 1, "done before")
    if cluster:
        train_everywhere(cluster, run, home(), run.methods, report, refuse)
        return
    with stoppable():
        train.fit_all(run, home(), run.methods, jobs, progress=report, refuse=refuse)


@step
def choose_method(folder: Path) -> None:
    """What would be chosen without target labels, before any test label is read."""
    run = Run(folder)
    plain = dict.fromkeys(arm for arm, _ in run.arms() if arm not in COMPOSITIONS)
    train.promote(run, home(), list(plain), progress=report)


@step
def build_comparison(folder: Path) -> Path:
    return comparison.build(Run(folder))


@flow(name="compare", persist_result=False)
def compare(
    study: str,
    methods: list[str] | None = None,
    seeds: list[int] | None = None,
    source_root: Path | None = None,
    target_root: Path | None = None,
    resume: str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
) -> dict[str, Any]:
    """The same study under several methods: ingest once, train every cell that is not there yet, judge, rank."""
    started = datetime.now(UTC)
    with unattended(), turn(home(), f"comparison of {study}", load_study(study).budget.devices):
        plan = plan_comparison(study, methods, seeds, source_root, target_root, resume)
        run = plan.run or Run.create(plan.study, home(), plan.methods)
        report("comparison", 1, 1, run.id)
        with nothing_left_of(run, unless=plan.run is not None):
            ingest_dataset(plan.study.source, source_root, cluster)
            ingest_dataset(plan.study.target, target_root, cluster)
            describe_data(run.folder, plan.source.name, plan.target.name)
        train_methods(run.folder, jobs, cluster)
        choose_method(run.folder)
        evaluate_run(run.folder)
        describe_environment(run.folder, started)
        page = build_comparison(run.folder)
        return {"run": run.id, "folder": str(run.folder), "page": str(page)}
