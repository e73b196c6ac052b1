"""The main job: ingest both datasets, train, decide whether to adapt, evaluate, report, register."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from xmed import cohort, evaluate, monitor, registry, report as reports, train
from xmed.app.environment import bill_of_materials, environment, errors
from xmed.app.plan import Plan, as_path, plan_study
from xmed.app.read_dataset import ingest_dataset
from xmed.app.rebuild_report import keep_author_text, keep_prior_report
from xmed.app.resume import begin, end, unfinished
from xmed.app.steps import Call, StepTimes, directly, outward
from xmed.console.progress_display import report
from xmed.console.run_lock import hold_run_lock
from xmed.errors import XmedError
from xmed.processes.termination import stoppable
from xmed.records.answers import AdaptedRun
from xmed.records.data_summary import CaseFlow, DataSummary
from xmed.records.record import content
from xmed.records.run_state import RegisteredVersion
from xmed.run import Run, home
from xmed.spec import Study, load_study


def adapt(
    study: str | Path | Study,
    seeds: list[int] | None = None,
    source_root: str | Path | None = None,
    target_root: str | Path | None = None,
    resume: str | Path | None = None,
    file: str | Path | None = None,
    call: Call = directly,
) -> AdaptedRun:
    """Ingest both datasets of a study, train all arms, decide whether to adapt, evaluate, report, log, register.

    Args:
        study: A study: its name, its YAML file, or the study itself.
        seeds: Random seeds, in place of the study's.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        resume: Id or folder of the run to continue.
        file: The study's name or path, where it came from one: a YAML file beside it may hold what people wrote.
        call: Calls each step.

    Returns:
        The run, its folder, the path of its page, and what became of its model in the registry.

    Raises:
        XmedError: With the codes of `xmed.app.plan.plan_study`, and of each step.
    """
    started, call = datetime.now(UTC), StepTimes(call)
    roots = {"source": as_path(source_root), "target": as_path(target_root)}
    spec = study if isinstance(study, Study) else load_study(study)
    with hold_run_lock(home(), f"study {spec.name}", spec.budget.devices):
        plan = plan_study(spec, seeds, source_root, target_root, resume)
        registry.check_name(home(), plan.study.register_as)
        run = _data_of(plan, roots, call)
        call(train_arms, run.folder)
        call(promote_model, run.folder)
        call(evaluate_run, run.folder, roots["target"])
        call(keep_reference, run.folder)
        call(describe_environment, run.folder, started)
        call(keep_text_and_prior, run.folder, file)
        page = call(build_report, run.folder)
        call(log_run, run.folder)
        registered = call(register_model, run.folder)
        end(run, {"registered": content(registered)})
    call.log()
    return AdaptedRun(run=run.id, folder=str(run.folder), report=str(page), registered=registered)


@contextlib.contextmanager
def remove_on_failure(run: Run, unless: bool) -> Iterator[None]:
    """Delete the folder of a run that fails before its first training.

    Args:
        run: The run.
        unless: Whether to keep the folder after all, as for a run that was resumed.
    """
    try:
        yield
    except BaseException:
        if not unless:
            shutil.rmtree(run.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                run.folder.parent.rmdir()  # goes only when this was the first run
        raise


def _data_of(plan: Plan, roots: dict[str, Path | None], call: Call) -> Run:
    """The run of a plan with its data: the one that is resumed, one that was killed, or a new one.

    One that was killed is given up where its data has changed since.
    """
    before = None if plan.run else unfinished(plan.study, roots, home())
    run = plan.run or before or begin(plan.study, roots, home())
    report("run", 1, 1, f"{run.id}, which was interrupted" if before else run.id)
    try:
        with remove_on_failure(run, unless=bool(plan.run or before)):
            call(ingest_dataset, plan.study.source, roots["source"])
            call(ingest_dataset, plan.study.target, roots["target"])
            call(describe_data, run.folder, plan.source.name, plan.target.name)
    except XmedError as problem:
        if not before or problem.code != "DATA_CHANGED":
            raise
        end(run, {"given_up": problem.what})
        return _data_of(plan, roots, call)
    return run


def describe_data(folder: Path, source: str, target: str) -> dict[str, CaseFlow | None]:
    """Write data.json; a run needs cases to be judged on, and a resumed one the data it began with."""
    evaluate.judged(cohort.load_cohort(target, home()))
    run, summary = (
        Run(folder),
        cohort.summarise_cohorts(cohort.load_cohort(source, home()), cohort.load_cohort(target, home())),
    )
    if run.has(DataSummary):
        before = run.read(DataSummary)
        sides = ("source", before.source, summary.source), ("target", before.target, summary.target)
        for side, old, new in sides:
            if old.fingerprint != new.fingerprint:
                what = f"{side} {new.name} has changed since run {run.id} began"
                raise XmedError("DATA_CHANGED", what, old.fingerprint[:12] + "…", "start a new run")
    run.write(summary)
    return {"source": summary.source.flow, "target": summary.target.flow}


def train_arms(folder: Path) -> None:
    """Train all arms and seeds of a run that are not trained yet."""
    with stoppable():  # again: under a flow Prefect takes SIGTERM for itself, and would let the workers finish
        train.fit_all(Run(folder), home(), progress=report)


def promote_model(folder: Path) -> None:
    """Write selection.json: whether the adapted model may become the candidate, decided without target labels."""
    train.promote(Run(folder), home(), progress=report)


def evaluate_run(folder: Path, target_root: Path | None = None) -> None:
    """Measure all arms on the test patients, and write DICOM objects of the adapted model's predictions."""
    evaluate.evaluate(Run(folder), home(), progress=report)
    evaluate.write_objects(Run(folder), home(), target_root, progress=report)


def keep_reference(folder: Path) -> None:
    """Write monitor.json: what new data will be compared with to find drift."""
    monitor.keep(Run(folder), home(), progress=report)


def describe_environment(folder: Path, started: datetime) -> None:
    """Write environment.json, errors.json and, for a run that has none yet, sbom.json."""
    run = Run(folder)
    run.write(environment(run, started))
    run.write(errors(run))
    if not run.methods and not run.has("sbom"):  # a resumed run keeps that of the environment it was trained in
        run.write("sbom", bill_of_materials(run))


def keep_text_and_prior(folder: Path, study: str | Path | None) -> None:
    """Keep the text that people wrote about the study, and the report of the model's version before this one."""
    keep_prior_report(Run(folder), home())
    if study:
        keep_author_text(Run(folder), study)


def build_report(folder: Path) -> Path:
    """Build the report and return the path of its page."""
    return reports.write_report(Run(folder))


@outward
def log_run(folder: Path) -> str:
    """Log the run to MLflow and return the id of its MLflow run."""
    return registry.log_run(Run(folder), home())


@outward
def register_model(folder: Path) -> RegisteredVersion:
    """Register the adapted model; see `xmed.registry.register`."""
    return registry.register(Run(folder), home())
