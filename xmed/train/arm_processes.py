"""Train the arms of a run, each in a process of its own, in the order in which they need each other."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from xmed import methods, networks
from xmed.cohort import load
from xmed.errors import XmedError
from xmed.processes import termination
from xmed.processes.child import tying
from xmed.run import TRAINED_ARMS, Arm, Run
from xmed.train.arms import fit, method_of
from xmed.train.distributed_launch import fit_spread
from xmed.train.loop import Progress
from xmed.train.progress_relay import Relay

GRACE_SECONDS = 20.0
"""How long a worker may take to its next step and its checkpoint: a scheduler that ends a job gives it 30 s."""
Job = tuple[str, int]
"""(arm, seed)."""
Refuse = Callable[[str, int, Exception], None]
"""(arm, seed, why): what is told of a job that failed where the others are to go on."""


def fit_all(
    run: Run, home: Path, arms: Sequence[str] = TRAINED_ARMS, workers: int | None = None,
    progress: Progress | None = None, refuse: Refuse | None = None,
) -> list[Path]:  # fmt: skip
    """Every arm and seed of the run's study, and the arms that these begin with; what is finished is left alone.

    On a CPU each is trained in a process of its own with one thread, as many at once as there are cores: faster than
    one training on all cores, and the result does not depend on how many there are. On a GPU one follows the other;
    where the study spreads a training over several devices, on these.
    A target without training labels loses only its ceiling. What a job raises ends the others too, unless `refuse` is
    given: then that is told, and only what begins with the job is left out with it.
    """
    wanted = jobs(run, home, arms)
    if run.study.budget.devices > 1 or networks.device().type == "cuda":
        return _one_by_one(run, home, wanted, progress, refuse)
    workers = min(workers or len(os.sched_getaffinity(0)), len(wanted))
    context = multiprocessing.get_context("spawn")
    manager = SyncManager(ctx=context)
    with tying(), contextlib.ExitStack() as held:
        manager.start(termination.end_with_parent)
        held.enter_context(manager)
        queue, others = manager.Queue(), set(multiprocessing.active_children())
        with ProcessPoolExecutor(workers, context, initializer=_begin) as pool:
            try:
                return _follow(pool, run, home, wanted, queue, progress, refuse)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _end(set(multiprocessing.active_children()) - others)
                raise


def fit_one(run: Run, arm: str, seed: int, home: Path, progress: Progress | None = None) -> Path:
    """`fit`, on as many devices as the study asks for."""
    return (fit_spread if run.study.budget.devices > 1 else fit)(run, arm, seed, home, progress)


def fit_far(run: Run, arm: str, seed: int, home: Path) -> Path:
    """`fit_one` in somebody else's process; on a processor with one thread, as here: the numbers depend on it."""
    if networks.device().type == "cpu":
        torch.set_num_threads(1)
    return fit_one(run, arm, seed, home)


def jobs(run: Run, home: Path, arms: Sequence[str]) -> dict[Job, list[Job]]:
    """Every job with the jobs it waits for, in an order that can be kept; the most expensive first where it is free."""
    study = run.study
    ceiling = any(case.label for case in load(study.target, home).split("train"))
    wanted = [arm for arm in arms if ceiling or arm != Arm.TARGET_SUPERVISED]
    before: dict[str, list[str]] = {}

    def visit(arm: str) -> None:
        if arm not in before:
            needed = methods.needs(method_of(study, arm))
            for other in needed:
                visit(other)
            before[arm] = needed

    for arm in sorted(wanted, key=lambda arm: arm != Arm.ADAPTED):
        visit(arm)
    return {(arm, seed): [(other, seed) for other in before[arm]] for seed in study.seeds for arm in before}


def _one_by_one(
    run: Run, home: Path, jobs: dict[Job, list[Job]], progress: Progress | None, refuse: Refuse | None
) -> list[Path]:
    done: dict[Job, Path] = {}
    waiting = list(jobs)
    while waiting:
        job = waiting.pop(0)
        try:
            done[job] = fit_one(run, *job, home, progress)
        except Exception as problem:
            waiting = _without(waiting, jobs, job, problem, refuse)
    return list(done.values())


def _follow(
    pool: ProcessPoolExecutor, run: Run, home: Path, jobs: dict[Job, list[Job]], queue: Any,
    progress: Progress | None, refuse: Refuse | None,
) -> list[Path]:  # fmt: skip
    """Hand out jobs as soon as what they need is there; pass on progress; raise or tell at once what a job raised."""
    done: dict[Job, Path] = {}
    running: dict[Future[Path], Job] = {}
    waiting = list(jobs)
    while waiting or running:
        for job in [job for job in waiting if all(other in done for other in jobs[job])]:
            running[pool.submit(_work, run, *job, home, Relay(queue.put))] = job
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
                waiting = _without(waiting, jobs, job, problem, refuse)
    return [done[job] for job in jobs if job in done]


def _without(
    waiting: list[Job], jobs: dict[Job, list[Job]], lost: Job, problem: Exception, refuse: Refuse | None
) -> list[Job]:
    """What still waits once a job is lost: not what begins with it. A full disk or a lost worker ends everything."""
    if refuse is None or isinstance(problem, OSError | BrokenExecutor):
        raise problem
    refuse(*lost, problem)
    while job := next((job for job in waiting if lost in jobs[job]), None):
        waiting = _without([other for other in waiting if other != job], jobs, job, left_out(job, lost), refuse)
    return waiting


def left_out(job: Job, lost: Job) -> XmedError:
    """Why a job does not begin."""
    return XmedError("METHOD_NEEDS", f"{job[0]} begins with {lost[0]}, which failed", f"a trained {lost[0]}")


def _end(workers: set[BaseProcess]) -> None:
    """The other arms would train on for minutes: each saves after the step it is in; one that does not is killed."""
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        worker.kill()


def _work(run: Run, arm: str, seed: int, home: Path, progress: Progress) -> Path:
    """`fit`, in a worker: one that is asked to end does not begin what already waits in the pool's queue."""
    try:
        return fit(run, arm, seed, home, progress)
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGTERM)


def _begin() -> None:
    torch.set_num_threads(1)
    termination.heed_as_worker()
