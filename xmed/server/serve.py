"""Serve: a worker that starts scheduled runs one at a time, and a server where nobody else runs one."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from xmed.console.run_lock import owner
from xmed.errors import XmedError
from xmed.server.prefect_server import UP, running, server_lock, serving, use_server
from xmed.server.stale_flow_runs import close

SAVE_SECONDS = 30.0
POLL_SECONDS = "5"  # how often the worker asks for work; Prefect's own 15 would be felt


def serve(home: Path, port: int, say: Callable[[str], None]) -> None:
    """Serve until told to end (KeyboardInterrupt). Raises XmedError BUSY, USAGE, SERVER_FAILED."""
    with ExitStack() as held:
        who, alive = owner(server_lock(home))
        if alive and who and who.get("what") == UP:
            raise XmedError("BUSY", f"{UP} starts scheduled runs of this home already", "one worker", "xmed down")
        if os.environ.get("PREFECT_API_URL"):
            url = use_server(home) or ""
        else:
            url = held.enter_context(serving(home, port))
            say(f"user and password of its pages: {home / 'prefect' / 'password'}")
            for name in close(home):
                say(f"{name} was killed before this started")
        say(f"server  {url.removesuffix('/api')}")
        from prefect.client.orchestration import get_client

        from xmed.server.work_pool import POOL, make_pool, renew_entrypoints

        with get_client(sync_client=True) as client:
            make_pool(client)
            renew_entrypoints(client)
        worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        settings = {"PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS}
        process = held.enter_context(running([*worker, "--limit", "1"], os.environ | settings, None))
        held.callback(let_save, process.pid)
        say("scheduled runs start here, one at a time, until this ends (Ctrl-C, SIGTERM)")
        while process.poll() is None:
            time.sleep(0.5)
        raise XmedError("SERVER_FAILED", f"the worker ended with exit code {process.returncode}", "a worker")


def let_save(worker: int) -> None:
    """Ask what a worker started to end, and wait while it saves. The worker stands still, else it would begin the next.

    Prefect's worker, told to end, kills what it started at once.
    """
    until, told = time.monotonic() + SAVE_SECONDS, set[int]()
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGSTOP)
        while (at_work := _children(worker)) and time.monotonic() < until:
            for child in at_work - told:
                os.kill(child, signal.SIGTERM)
            told |= at_work
            time.sleep(0.2)
        os.kill(worker, signal.SIGCONT)


def _children(pid: int) -> set[int]:
    """The processes that one has started and that have not ended."""
    found: set[int] = set()
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found |= {int(child) for child in path.read_text().split()}
    return {child for child in found if not _ended(child)}


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
