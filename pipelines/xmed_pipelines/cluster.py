"""Cluster: trainings and pieces of ingest as Prefect tasks on a Dask cluster that is there already.

Its machines have this xmed installed, see the same home and files under the same paths, and reach one Prefect server:
without it each worker would start a server of its own for every task. A worker does one training at a time: give it one
thread, and where there are GPUs one of these.
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
from xmed.console.run_lock import locked
from xmed.errors import XmedError
from xmed.run import Run

if TYPE_CHECKING:
    from prefect_dask import DaskTaskRunner

CONNECT_SECONDS = 20.0
F = TypeVar("F", bound=Callable[..., Any])


def far(name: str) -> Callable[[F], Any]:
    """A task that another machine does; named by its parameters."""
    return task(cache_policy=NO_CACHE, persist_result=False, task_run_name=name)


@far("train {arm} seed {seed}")
def train_cell(folder: Path, arm: str, seed: int, home: Path) -> None:
    """One training, by whoever comes first: one that was given up may still be at it on another machine."""
    if not folder.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"no folder {folder} on a worker", "a home that all machines share")
    run = Run(folder)
    with locked(run.arm(arm, seed) / "lock.json", what=f"{arm} seed {seed}"):
        train.fit_single_threaded(run, arm, seed, home)


@far("read")
def read_piece(piece: Shard) -> tuple[list[ReadResult], list[str]]:
    return piece.read()


def train_everywhere(
    address: str, run: Run, home: Path, arms: Sequence[str], progress: train.Progress, refuse: train.OnFailure
) -> None:
    """What `train.fit_all` does, on a cluster; each training begins when those that it needs have ended."""
    jobs, lost = train.jobs(run, home, arms), set[train.Job]()
    with _runner(address) as runner:
        futures: dict[train.Job, PrefectFuture[None]] = {}
        for job, needed in jobs.items():
            arguments = dict(zip(("folder", "arm", "seed", "home"), (run.folder, *job, home)))
            before = [futures[other] for other in needed]
            futures[job] = runner.submit(train_cell, arguments, wait_for=before)  # type: ignore[arg-type]
        names = {future.task_run_id: job for job, future in futures.items()}
        for future in as_completed(list(futures.values())):
            job = names[future.task_run_id]
            try:
                future.result()
                progress(f"train {job[0]} seed {job[1]}", 1, 1, "")
            except OSError:
                raise
            except Exception as problem:
                missing = next((other for other in jobs[job] if other in lost), None)
                lost.add(job)
                refuse(*job, train.skipped_because(job, missing) if missing else problem)


def read_everywhere(address: str, pieces: Sequence[Shard]) -> Iterator[tuple[list[ReadResult], list[str]]]:
    """Each piece of an ingest, read by some worker; in their order."""
    with _runner(address) as runner:
        for future in [runner.submit(read_piece, {"piece": piece}) for piece in pieces]:
            yield future.result()


@contextmanager
def _runner(address: str) -> Iterator[DaskTaskRunner]:
    """Prefect's way to a cluster. Raises XmedError USAGE, CLUSTER_UNREACHABLE."""
    try:
        from distributed import Client
        from prefect_dask import DaskTaskRunner
    except ImportError as problem:
        raise XmedError("USAGE", "a cluster needs prefect-dask", "the extra", "pip install 'xmed[dask]'") from problem
    if not get_current_settings().api.url:
        do = "set PREFECT_API_URL; where all workers are on this machine `xmed serve` will do"
        raise XmedError("USAGE", "a cluster, and no Prefect server", "one that every worker reaches", do)
    try:
        with Client(address, timeout=CONNECT_SECONDS, set_as_default=False) as client:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, ValueError) as problem:
        what, do = f"no Dask scheduler answers at {address}", "an address such as tcp://host:8786"
        raise XmedError("CLUSTER_UNREACHABLE", what, "a scheduler", do) from problem
    if not workers:
        raise XmedError("CLUSTER_UNREACHABLE", f"the scheduler at {address} has no workers", "one at the least")
    with DaskTaskRunner(address=address) as runner:
        yield runner
