"""Train the arms of a run, each in its own process that passes on its progress, in the order of their dependencies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from multiprocessing.context import BaseContext
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from xmed import methods, networks
from xmed.cohort import load_cohort
from xmed.errors import XmedError
from xmed.files.progress import Progress
from xmed.processes import termination
from xmed.processes.child import tied_children
from xmed.run import TRAINED_ARMS, Arm, Run
from xmed.train.arms import fit, method_of
from xmed.train.distributed_launch import fit_distributed

Note = tuple[str, int, int, str]
"""(what, done, total, note), as in `xmed.files.progress.Progress`."""
GRACE_SECONDS = 20.0
"""How long a worker may take for its current step and a checkpoint. A scheduler that ends a job gives it 30 s."""
Job = tuple[str, int]
"""(arm, seed)."""
OnFailure = Callable[[str, int, Exception], None]
"""(arm, seed, problem): called for a job that failed, where the other jobs shall continue."""


class Relay:
    """Passes on at most about two notes a second, and the last one.

    Args:
        send: Called with each note that is passed on.
    """

    def __init__(self, send: Callable[[Note], None]) -> None:
        self.send, self.last = send, 0.0

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        if done == total or time.monotonic() - self.last > 0.5:
            self.send((what, done, total, note))
            self.last = time.monotonic()


def fit_all(
    run: Run, home: Path, arms: Sequence[str] = TRAINED_ARMS, workers: int | None = None,
    progress: Progress | None = None, refuse: OnFailure | None = None,
) -> list[Path]:  # fmt: skip
    """Train every arm and seed of the run's study, and the arms that these start from. Finished ones are left alone.

    On a CPU each arm is trained in its own process with one thread, as many at once as there are cores. This is faster
    than one training on all cores, and the result does not depend on their number. On a GPU one training follows the
    other; where the study distributes a training over several devices, it uses these. A target without training labels
    loses only its supervised upper bound.

    Args:
        run: The run.
        home: Home folder with the store.
        arms: Arms that are wanted.
        workers: Number of processes; by default the number of cores.
        progress: Called with (what, done, total, note).
        refuse: Called with each failed job; then only jobs that depend on it are skipped. By default a failure ends all
            jobs and is raised.

    Returns:
        The folders of the trained arms.
    """
    needed_jobs = jobs(run, home, arms)
    if run.study.budget.devices > 1 or networks.default_device().type == "cuda":
        return _one_by_one(run, home, needed_jobs, progress, refuse)
    workers = min(workers or len(os.sched_getaffinity(0)), len(needed_jobs))
    context = worker_context()
    manager = SyncManager(ctx=context)
    with tied_children(), contextlib.ExitStack() as stack:
        manager.start(termination.end_with_parent)
        stack.enter_context(manager)
        queue, others = manager.Queue(), set(multiprocessing.active_children())
        with ProcessPoolExecutor(workers, context, _initialise_worker, (dict(os.environ),)) as pool:
            try:
                return _run_pool(pool, run, home, needed_jobs, queue, progress, refuse)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _terminate(set(multiprocessing.active_children()) - others)
                raise


def worker_context() -> BaseContext:
    """Say how the processes of a training are started.

    They are forked from a process that has imported what a training needs and done nothing else: the imports take
    longer than many a step, and are done once and not once a worker. This process itself cannot be forked, for it has
    threads. The forking process ends with this one.

    Returns:
        The context of `multiprocessing`.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # any optimiser of torch imports the second
    return context


def fit_one(run: Run, arm: str, seed: int, home: Path, progress: Progress | None = None) -> Path:
    """Train one arm with `fit`, on as many devices as the study asks for.

    Args:
        run: The run.
        arm: Name of the arm.
        seed: Seed of the training.
        home: Home folder with the store.
        progress: Called with (what, done, total, note).

    Returns:
        The arm's folder.
    """
    return (fit_distributed if run.study.budget.devices > 1 else fit)(run, arm, seed, home, progress)


def fit_single_threaded(run: Run, arm: str, seed: int, home: Path) -> Path:
    """Train one arm in a process of another program, on a CPU with one thread: the numbers depend on it.

    Args:
        run: The run.
        arm: Name of the arm.
        seed: Seed of the training.
        home: Home folder with the store.

    Returns:
        The arm's folder.
    """
    if networks.default_device().type == "cpu":
        torch.set_num_threads(1)
    return fit_one(run, arm, seed, home)


def jobs(run: Run, home: Path, arms: Sequence[str]) -> dict[Job, list[Job]]:
    """List the trainings of a run, with those that each depends on.

    Args:
        run: The run.
        home: Home folder with the store.
        arms: Arms that are wanted; the arms that they start from are added.

    Returns:
        Job → jobs that it waits for, in an order that respects this, with expensive jobs early.
    """
    study = run.study
    ceiling = any(case.label for case in load_cohort(study.target, home).split("train"))
    possible = [arm for arm in arms if ceiling or arm != Arm.TARGET_SUPERVISED]
    before: dict[str, list[str]] = {}

    def visit(arm: str) -> None:
        if arm not in before:
            needed = methods.needs(method_of(study, arm))
            for other in needed:
                visit(other)
            before[arm] = needed

    for arm in sorted(possible, key=lambda arm: arm != Arm.ADAPTED):
        visit(arm)
    return {(arm, seed): [(other, seed) for other in before[arm]] for seed in study.seeds for arm in before}


def _one_by_one(
    run: Run, home: Path, jobs: dict[Job, list[Job]], progress: Progress | None, refuse: OnFailure | None
) -> list[Path]:
    done: dict[Job, Path] = {}
    waiting = list(jobs)
    while waiting:
        job = waiting.pop(0)
        try:
            done[job] = fit_one(run, *job, home, progress)
        except Exception as problem:
            waiting = _drop_dependents(waiting, jobs, job, problem, refuse)
    return list(done.values())


def _run_pool(
    pool: ProcessPoolExecutor, run: Run, home: Path, jobs: dict[Job, list[Job]], queue: Any,
    progress: Progress | None, refuse: OnFailure | None,
) -> list[Path]:  # fmt: skip
    """Start jobs as soon as the jobs they wait for are done, and pass on progress and failures at once."""
    done: dict[Job, Path] = {}
    running: dict[Future[Path], Job] = {}
    waiting = list(jobs)
    while waiting or running:
        for job in [job for job in waiting if all(other in done for other in jobs[job])]:
            running[pool.submit(_fit_in_worker, run, *job, home, Relay(queue.put))] = job
            waiting.remove(job)
        finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        with contextlib.suppress(Empty):
            while True:
                note = queue.get_nowait()
                if progress:
                    progress(*note)
        for future in finished:
            job = running.pop(future)
            try:
                done[job] = future.result()
            except Exception as problem:
                waiting = _drop_dependents(waiting, jobs, job, problem, refuse)
    return [done[job] for job in jobs if job in done]


def _drop_dependents(
    waiting: list[Job], jobs: dict[Job, list[Job]], lost: Job, problem: Exception, refuse: OnFailure | None
) -> list[Job]:
    """Return the waiting jobs without those that depend on a failed job.

    A full disk or a lost worker process ends everything, as does any failure where `refuse` is None: it is raised.
    """
    if refuse is None or isinstance(problem, OSError | BrokenExecutor):
        raise problem
    refuse(*lost, problem)
    while job := next((job for job in waiting if lost in jobs[job]), None):
        waiting = _drop_dependents(
            [other for other in waiting if other != job], jobs, job, skipped_because(job, lost), refuse
        )
    return waiting


def skipped_because(job: Job, lost: Job) -> XmedError:
    """Return the error that says why a job is not started.

    Args:
        job: The job that is skipped.
        lost: The failed job that it depends on.

    Returns:
        METHOD_NEEDS.
    """
    return XmedError("METHOD_NEEDS", f"{job[0]} begins with {lost[0]}, which failed", f"a trained {lost[0]}")


def _terminate(workers: set[BaseProcess]) -> None:
    """Ask workers to end: each saves a checkpoint after its current step. Kill those that take too long."""
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        worker.kill()


def _fit_in_worker(run: Run, arm: str, seed: int, home: Path, progress: Progress) -> Path:
    """Run `fit` in a worker. Asked to end, the worker exits and does not start jobs that wait in the pool's queue."""
    try:
        return fit(run, arm, seed, home, progress)
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGTERM)


def _initialise_worker(environment: dict[str, str]) -> None:
    os.environ.clear()  # the environment of a forked process is that of the first pool of the program
    os.environ.update(environment)
    torch.set_num_threads(1)
    termination.prepare_worker()
