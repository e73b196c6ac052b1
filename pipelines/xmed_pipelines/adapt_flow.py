"""Adapt flow: ingest and adapt. Thin: each task is one library function; names and paths travel, never tensors."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from prefect import Task, flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BeforeValidator

from xmed import cohort, evaluate, monitor, phantom, registry, train
from xmed import report as reports
from xmed.app.environment import bill_of_materials, environment, errors
from xmed.app.external_validation import begin as begin_external
from xmed.app.external_validation import describe, external_study
from xmed.app.plan import Plan, plan_dataset, plan_study
from xmed.app.rebuild_report import note_text, remember_prior
from xmed.app.resume import begin, end, unfinished
from xmed.console.progress import report
from xmed.console.run_lock import turn
from xmed.errors import XmedError
from xmed.rendering.scenes import write_label_maps as maps
from xmed.run import Run, home
from xmed.server import preflight
from xmed.server.process_environment import stoppable
from xmed.spec import MapsSpec, PhantomSpec, Study, load_dataset, load_protocol, load_study
from xmed_pipelines.cluster import read_everywhere
from xmed_pipelines.run_artifacts import show, unattended, worth_another_try

P = ParamSpec("P")
R = TypeVar("R")
AnyStudy = Annotated[Study, BeforeValidator(lambda given: load_study(given) if isinstance(given, str) else given)]
"""A study by name, by path, or whole; to Prefect's pages it is a form with the study's fields."""
RETRY_SECONDS = [30.0, 120.0, 600.0]


def step(function: Callable[P, R]) -> Task[P, R]:
    """A task that always runs and is tried once: what it computes would come out the same.

    Each library function finds by itself what it has done already.
    """
    return task(cache_policy=NO_CACHE, persist_result=False)(function)


def outward(function: Callable[P, R]) -> Task[P, R]:
    """A step that speaks to other machines (an archive, a tracking server): at night it is worth another try."""
    return task(
        cache_policy=NO_CACHE, persist_result=False, retries=len(RETRY_SECONDS), retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=worth_another_try,
    )(function)  # fmt: skip


def make(spec: PhantomSpec | MapsSpec, folder: Path) -> None:
    """What ingest calls for a dataset that xmed writes itself; ingest stands below the floor of whatever writes it."""
    if isinstance(spec, PhantomSpec):
        phantom.write(spec, folder, report)
    else:
        maps.write(spec, folder, report)


@outward
def ingest_dataset(spec: str, root: Path | None, cluster: str | None = None) -> dict[str, Any]:
    spread = functools.partial(read_everywhere, cluster) if cluster else None
    found = cohort.ingest(load_dataset(spec), home(), data_root=root, progress=report, generate=make, spread=spread)
    return {"name": found.spec.name, "fingerprint": found.fingerprint}


@step
def describe_data(folder: Path, source: str, target: str) -> dict[str, Any]:
    """Write data.json; a run needs cases to be judged on, and a resumed one the data it began with."""
    evaluate.judged(cohort.load(target, home()))
    run, summary = Run(folder), cohort.summary(cohort.load(source, home()), cohort.load(target, home()))
    if run.has("data"):
        before = run.read("data")
        for side in ("source", "target"):
            if before[side]["fingerprint"] != summary[side]["fingerprint"]:
                what = f"{side} {summary[side]['name']} has changed since run {run.id} began"
                raise XmedError("DATA_CHANGED", what, before[side]["fingerprint"][:12] + "…", "start a new run")
    run.write("data", summary)
    return {"source": summary["source"]["flow"], "target": summary["target"]["flow"]}


@step
def train_arms(folder: Path) -> None:
    with stoppable():  # again: under a flow Prefect takes SIGTERM for itself, and would let the workers finish
        train.fit_all(Run(folder), home(), progress=report)


@step
def promote_model(folder: Path) -> None:
    train.promote(Run(folder), home(), progress=report)


@step
def evaluate_run(folder: Path, target_root: Path | None = None) -> None:
    evaluate.evaluate(Run(folder), home(), progress=report)
    evaluate.write_objects(Run(folder), home(), target_root, progress=report)


@step
def keep_reference(folder: Path) -> None:
    """Write monitor.json: what new data will be held against."""
    monitor.keep(Run(folder), home(), progress=report)


@step
def describe_environment(folder: Path, started: datetime) -> None:
    run = Run(folder)
    run.write("environment", environment(run, started))
    run.write("errors", errors(run))
    if not run.methods and not run.has("sbom"):  # a resumed run keeps that of the environment it was trained in
        run.write("sbom", bill_of_materials(run))


@step
def note_what_is_known(folder: Path, study: str | None) -> None:
    """Beside the numbers: what people wrote of the study, and the version of the model before this one."""
    remember_prior(Run(folder), home())
    if study:
        note_text(Run(folder), study)


@step
def build_report(folder: Path) -> Path:
    return reports.build(Run(folder))


@step
def describe_external(folder: Path, target: str) -> dict[str, Any]:
    evaluate.judged(cohort.load(target, home()))
    return describe(Run(folder), cohort.load(target, home()), home())["target"]["flow"]


@outward
def log_run(folder: Path) -> str:
    return registry.log_run(Run(folder), home())


@outward
def register_model(folder: Path) -> dict[str, Any]:
    return registry.register(Run(folder), home())


@flow(name="ingest", persist_result=False)
def ingest(spec: str, root: Path | None = None, cluster: str | None = None) -> dict[str, Any]:
    """A dataset spec → store and quarantine."""
    plan_dataset(spec, root)
    return ingest_dataset(spec, root, cluster)


@flow(name="adapt", persist_result=False)
def adapt(
    study: AnyStudy,
    seeds: list[int] | None = None,
    source_root: Path | None = None,
    target_root: Path | None = None,
    resume: str | None = None,
    file: str | None = None,
) -> dict[str, Any]:
    """The main job: ingest both, train all arms, decide whether to adapt, evaluate, report, log, register the model.

    file: the study's name or path, if it came from one: a text that people wrote of it stands beside.
    """
    started, roots = datetime.now(UTC), {"source": source_root, "target": target_root}
    with unattended(), turn(home(), f"study {study.name}", study.budget.devices):
        plan = plan_study(study, seeds, source_root, target_root, resume)
        preflight.name(home(), plan.study.register_as)
        run = _data_of(plan, roots)
        train_arms(run.folder)
        promote_model(run.folder)
        evaluate_run(run.folder, target_root)
        keep_reference(run.folder)
        describe_environment(run.folder, started)
        note_what_is_known(run.folder, file)
        page = build_report(run.folder)
        log_run(run.folder)
        registered = register_model(run.folder)
        result = {"run": run.id, "folder": str(run.folder), "report": str(page), "registered": registered}
        show(result)
        end(run, {"registered": registered})
    return result


def _data_of(plan: Plan, roots: dict[str, Path | None]) -> Run:
    """The run of a plan with its data: the one that is resumed, one that was killed, or a new one.

    One that was killed is given up where its data has changed since.
    """
    before = None if plan.run else unfinished(plan.study, roots, home())
    run = plan.run or before or begin(plan.study, roots, home())
    report("run", 1, 1, f"{run.id}, which was interrupted" if before else run.id)
    try:
        with nothing_left_of(run, unless=bool(plan.run or before)):
            ingest_dataset(plan.study.source, roots["source"])
            ingest_dataset(plan.study.target, roots["target"])
            describe_data(run.folder, plan.source.name, plan.target.name)
    except XmedError as problem:
        if not before or problem.code != "DATA_CHANGED":
            raise
        end(run, {"given_up": problem.what})
        return _data_of(plan, roots)
    return run


@flow(name="validate", persist_result=False)
def validate(model: str, spec: str, protocol: Path | None = None, data_root: Path | None = None) -> dict[str, Any]:
    """External validation: a finished model on a labelled dataset it was not made from; ingest, evaluate, report."""
    started, dataset = datetime.now(UTC), plan_dataset(spec, data_root)
    folder = registry.fetch(model, home())
    entry = registry.version_of(model, home()) if model.startswith("models:") else None
    carried = registry.report_of(model, home()) if entry else None
    study = external_study(folder, dataset, load_protocol(protocol) if protocol else None, carried)
    run = begin_external(folder, model, study, home(), str(entry.version) if entry else None)
    report("run", 1, 1, run.id)
    with nothing_left_of(run, unless=False):
        ingest_dataset(spec, data_root)
        describe_external(run.folder, dataset.name)
    evaluate_run(run.folder, data_root)
    keep_reference(run.folder)
    describe_environment(run.folder, started)
    return {"run": run.id, "folder": str(run.folder), "report": str(build_report(run.folder))}


@contextlib.contextmanager
def nothing_left_of(run: Run, unless: bool) -> Iterator[None]:
    """A run that fails before its first training leaves no folder behind."""
    try:
        yield
    except BaseException:
        if not unless:
            shutil.rmtree(run.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                run.folder.parent.rmdir()  # goes only when this was the first run
        raise
