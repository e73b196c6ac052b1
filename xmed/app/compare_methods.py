"""Compare methods on one study: both datasets are ingested once, every method and seed is trained, one table."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from xmed import comparison, train
from xmed.app.adapt import describe_data, describe_environment, evaluate_run, remove_on_failure
from xmed.app.plan import as_path, plan_comparison
from xmed.app.read_dataset import ingest_dataset
from xmed.app.steps import Call, directly
from xmed.cohort import ReadShards
from xmed.console.progress_display import FAILED, lay_out, report
from xmed.console.run_lock import hold_run_lock
from xmed.errors import XmedError
from xmed.files.progress import Progress
from xmed.methods import COMPOSITIONS
from xmed.processes.termination import stoppable
from xmed.records.answers import ComparedRun
from xmed.records.run_state import FailedTraining, FailedTrainings
from xmed.run import Arm, Run, home
from xmed.spec import load_study

Elsewhere = Callable[[Run, Path, Sequence[str], Progress, train.OnFailure], None]
"""Trains methods on other machines, as `xmed.train.fit_all` does here."""
TRACE = 4000
"""Characters of a fault's traceback that are kept."""


def compare(
    study: str | Path,
    methods: list[str] | None = None,
    seeds: list[int] | None = None,
    source_root: str | Path | None = None,
    target_root: str | Path | None = None,
    resume: str | Path | None = None,
    jobs: int | None = None,
    spread: ReadShards | None = None,
    elsewhere: Elsewhere | None = None,
    call: Call = directly,
) -> ComparedRun:
    """Ingest both datasets once, train every method and seed that is not trained yet, evaluate, rank.

    Args:
        study: A study: its name or YAML file.
        methods: Names of methods, or `["all"]`; None with `resume`.
        seeds: Random seeds, in place of the study's.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        resume: Id or folder of the comparison to continue.
        jobs: Trainings at the same time on a CPU; None: as many as cores.
        spread: Reads parts of a dataset on other machines.
        elsewhere: Trains on other machines.
        call: Calls each step.

    Returns:
        The run, its folder, and the path of comparison.html.

    Raises:
        XmedError: With the codes of `xmed.app.plan.plan_comparison`, and of each step.
    """
    started = datetime.now(UTC)
    with hold_run_lock(home(), f"comparison of {study}", load_study(study).budget.devices):
        plan = plan_comparison(study, methods, seeds, source_root, target_root, resume)
        run = plan.run or Run.create(plan.study, home(), plan.methods)
        report("comparison", 1, 1, run.id)
        with remove_on_failure(run, unless=plan.run is not None):
            call(ingest_dataset, plan.study.source, as_path(source_root), spread)
            call(ingest_dataset, plan.study.target, as_path(target_root), spread)
            call(describe_data, run.folder, plan.source.name, plan.target.name)
        call(train_methods, run.folder, jobs, elsewhere)
        call(choose_method, run.folder)
        call(evaluate_run, run.folder)
        call(describe_environment, run.folder, started)
        page = call(build_comparison, run.folder)
        return ComparedRun(run=run.id, folder=str(run.folder), page=str(page))


def train_methods(folder: Path, jobs: int | None, elsewhere: Elsewhere | None = None) -> None:
    """Train every method and seed. A training that fails is written to failed.json, and the others go on.

    Args:
        folder: The run's folder.
        jobs: Trainings at the same time on a CPU; None: as many as cores.
        elsewhere: Trains on other machines in place of this one.

    Raises:
        Exception: What made source-only fail: without it there is no table.
    """
    run, failed = Run(folder), list[FailedTraining]()

    def refuse(arm: str, seed: int, problem: Exception) -> None:
        if arm == Arm.SOURCE_ONLY:
            raise problem
        code = problem.code if isinstance(problem, XmedError) else "FAULT"
        message = problem.what if isinstance(problem, XmedError) else f"{type(problem).__name__}: {problem}"
        message = " ".join(message.split())[:300]
        if code == "FAULT":
            text = "".join(traceback.format_exception(problem))
            logging.getLogger(__name__).info("%s seed %s\n%s", arm, seed, text)
            (run.folder / f"fault-{arm}-seed{seed}.log").write_text(text[-TRACE:], encoding="utf-8")
        failed.append(FailedTraining(method=arm, seed=seed, code=code, message=message))
        run.write(FailedTrainings(failed))
        report(f"train {arm} seed {seed}", 1, 1, FAILED + message)

    run.write(FailedTrainings(failed))  # a resumed comparison tries again
    lay_out(run.methods, run.study.seeds)
    for arm, seed in run.arms():
        report(f"train {arm} seed {seed}", 1, 1, "done before")
    if elsewhere:
        elsewhere(run, home(), run.methods, report, refuse)
        return
    with stoppable():
        train.fit_all(run, home(), run.methods, jobs, progress=report, refuse=refuse)


def choose_method(folder: Path) -> None:
    """Write what would be chosen without target labels, before any test label is read."""
    run = Run(folder)
    plain = dict.fromkeys(arm for arm, _ in run.arms() if arm not in COMPOSITIONS)
    train.promote(run, home(), list(plain), progress=report)


def build_comparison(folder: Path) -> Path:
    """Write comparison.json and comparison.html, and return the page's path."""
    return comparison.write_comparison(Run(folder))
