"""`xmed serve`: a worker that starts scheduled runs one at a time, and a Prefect server where there is no other."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.locks import lock_owner
from xmed.home import Home
from xmed.server.prefect_server import UP, managed_process, run_prefect_server, server_lock, use_server
from xmed.server.stale_flow_runs import close_stale_runs

SAVE_SECONDS = 30.0
POLL_SECONDS = "5"  # how often the worker asks for work; Prefect's own 15 would be noticed


def serve_home(home: Path, port: int, log_line: Callable[[str], None]) -> None:
    """Start scheduled runs of a home until KeyboardInterrupt.

    Args:
        home: The home.
        port: Port of the server's pages; 0 takes any free one.
        log_line: Prints a line for the person who started it.

    Raises:
        XmedError: BUSY, USAGE, SERVER_FAILED.
    """
    with ExitStack() as stack:
        owner, is_held = lock_owner(server_lock(home))
        if is_held and owner and owner.what == UP:
            raise XmedError("BUSY", f"{UP} starts scheduled runs of this home already", "one worker", "xmed down")
        if os.environ.get("PREFECT_API_URL"):
            url = use_server(home) or ""
        else:
            url = stack.enter_context(run_prefect_server(home, port))
            log_line(f"user and password of its pages: {Home(home).prefect_password}")
            for name in close_stale_runs(home):
                log_line(f"{name} was killed before this started")
        log_line(f"server  {url.removesuffix('/api')}")
        from prefect.client.orchestration import get_client

        from xmed.server.work_pool import POOL, make_pool, renew_entrypoints

        with get_client(sync_client=True) as client:
            make_pool(client)
            renew_entrypoints(client)
        worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        settings = {"PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS}
        process = stack.enter_context(managed_process([*worker, "--limit", "1"], os.environ | settings, None))
        stack.callback(let_runs_save, process.pid)
        log_line("scheduled runs start here, one at a time, until this ends (Ctrl-C, SIGTERM)")
        while process.poll() is None:
            time.sleep(0.5)
        raise XmedError("SERVER_FAILED", f"the worker ended with exit code {process.returncode}", "a worker")


def let_runs_save(worker: int) -> None:
    """Ask the runs that a worker started to end, and wait up to SAVE_SECONDS while they save.

    The worker is stopped meanwhile (SIGSTOP): it would start the next run. If it were told to end, it would kill its
    runs at once.

    Args:
        worker: The worker's process id.
    """
    until, signalled = time.monotonic() + SAVE_SECONDS, set[int]()
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGSTOP)
        while (running := _children(worker)) and time.monotonic() < until:
            for child in running - signalled:
                os.kill(child, signal.SIGTERM)
            signalled |= running
            time.sleep(0.2)
        os.kill(worker, signal.SIGCONT)


def _children(pid: int) -> set[int]:
    """The child processes of a process that have not ended."""
    children: set[int] = set()
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            children |= {int(child) for child in path.read_text().split()}
    return {child for child in children if not _has_ended(child)}


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
