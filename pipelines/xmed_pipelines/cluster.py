"""Trainings and parts of an ingest as Prefect tasks on an existing Dask cluster.

All machines of the cluster have this xmed installed, see the same home and files under the same paths, and reach one
Prefect server: without it each worker would start a server of its own for every task. A worker does one training at a
time: give it one thread, and one GPU where there are GPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.settings import get_current_settings

from xmed import train
from xmed.cohort import ReadResult, Shard
from xmed.errors import XmedError
from xmed.files.locks import hold_lock
from xmed.files.progress import Progress
from xmed.run import Run

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

CONNECT_SECONDS = 20.0
F = TypeVar("F", bound=Callable[..., Any])


def remote_task(name: str) -> Callable[[F], Any]:
    """Make a function a Prefect task for another machine.

    Args:
        name: Name of the task run, with the function's parameters in braces.
    """
    return task(cache_policy=NO_CACHE, persist_result=False, task_run_name=name)


@remote_task("train {arm} seed {seed}")
def train_cell(folder: Path, arm: str, seed: int, home: Path) -> None:
    """Train one arm with one seed, once: a task that Prefect gave up may still be at work on another machine."""
    if not folder.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"no folder {folder} on a worker", "a home that all machines share")
    run = Run(folder)
    with hold_lock(run.arm(arm, seed) / "lock.json", what=f"{arm} seed {seed}"):
        train.fit_single_threaded(run, arm, seed, home)


@remote_task("read")
def read_piece(piece: Shard) -> tuple[list[ReadResult], list[str]]:
    """Read one part of a dataset."""
    return piece.read()


def train_on_cluster(
    address: str, run: Run, home: Path, arms: Sequence[str], progress: Progress, refuse: train.OnFailure
) -> None:
    """Train all arms as `train.fit_all` does, on a cluster; a training starts when those that it needs have ended.

    Args:
        address: The cluster's scheduler, such as tcp://host:8786.
        run: The run.
        home: The home, which all machines share.
        arms: Arms to train.
        progress: Reports each training that ended.
        refuse: Called with arm, seed and error for each training that failed.
    """
    jobs, failed = train.jobs(run, home, arms), set[train.Job]()
    with _connected_runner(address) as runner:
        futures: dict[train.Job, PrefectFuture[None]] = {}
        for job, needed in jobs.items():
            parameters = dict(zip(("folder", "arm", "seed", "home"), (run.folder, *job, home)))
            before = [futures[other] for other in needed]
            # They are futures of this very runner, though `as_completed` wants them typed as any runner's.
            futures[job] = runner.submit(train_cell, parameters, wait_for=before)  # type: ignore[arg-type]  # see above
        job_of = {future.task_run_id: job for job, future in futures.items()}
        for future in as_completed(list(futures.values())):
            job = job_of[future.task_run_id]
            try:
                future.result()
                progress(f"train {job[0]} seed {job[1]}", 1, 1, "")
            except OSError:
                raise
            except Exception as problem:
                missing = next((other for other in jobs[job] if other in failed), None)
                failed.add(job)
                refuse(*job, train.skipped_because(job, missing) if missing else problem)


def read_on_cluster(address: str, pieces: Sequence[Shard]) -> Iterator[tuple[list[ReadResult], list[str]]]:
    """Read the parts of a dataset on a cluster; yields their results in the order of the parts."""
    with _connected_runner(address) as runner:
        for future in [runner.submit(read_piece, {"piece": piece}) for piece in pieces]:
            yield future.result()


@contextmanager
def _connected_runner(address: str) -> Iterator[DaskTaskRunner]:
    """Prefect's task runner for a cluster that answers. Raises XmedError USAGE, CLUSTER_UNREACHABLE."""
    try:
        from distributed import Client
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as problem:
        raise XmedError("USAGE", "a cluster needs prefect-dask", "the extra", "pip install 'xmed[dask]'") from problem
    if not get_current_settings().api.url:
        do = "set PREFECT_API_URL; where all workers are on this machine `xmed serve` will do"
        raise XmedError("USAGE", "a cluster, and no Prefect server", "one that every worker reaches", do)
    try:
        with Client(  # type: ignore[no-untyped-call]  # distributed has no annotations
            address, timeout=CONNECT_SECONDS, set_as_default=False
        ) as client:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, ValueError) as problem:
        what, do = f"no Dask scheduler answers at {address}", "an address such as tcp://host:8786"
        raise XmedError("CLUSTER_UNREACHABLE", what, "a scheduler", do) from problem
    if not workers:
        raise XmedError("CLUSTER_UNREACHABLE", f"the scheduler at {address} has no workers", "one at the least")
    with DaskTaskRunner(address=address) as runner:
        yield runner
