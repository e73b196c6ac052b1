"""Prefect's server on loopback for one home: its database, password and log lie in the home."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xmed.console.run_lock import locked, owner
from xmed.errors import XmedError
from xmed.processes.child import child_environment

LOOPBACK, START_SECONDS, STOP_SECONDS = "127.0.0.1", 180.0, 20.0
UP = "xmed up"
"""What its lock says of a stack that starts runs by itself."""
# The kernel tells nobody of a death that came before it was asked to (prctl(2), PR_SET_PDEATHSIG).
UNLESS_ORPHANED = '[ "$PPID" = "$1" ] && shift && exec "$@"'


def server_lock(home: Path) -> Path:
    """The lock of whoever serves a home; its owner's `url` is the server's."""
    return home / "locks" / "serve.json"


def use_server(home: Path) -> str | None:
    """Speak to the server of PREFECT_API_URL, or else to the one that serves this home at present; returns its URL.

    None where there is neither: Prefect then starts one within this process for as long as it is needed. Before Prefect
    is imported, which reads its settings once.
    """
    if not os.environ.get("PREFECT_API_URL"):
        who, alive = owner(server_lock(home))
        if not (alive and who and answers(who["url"])):
            return None
        os.environ |= {"PREFECT_API_URL": who["url"], "PREFECT_API_AUTH_STRING": password(home)}
    return os.environ["PREFECT_API_URL"]


@contextmanager
def serving(home: Path, port: int) -> Iterator[str]:
    """A server of this home's database for the time of the block; yields its URL, which this process then speaks to.

    port: 0 takes any that is free. Raises XmedError BUSY where somebody serves this home already, USAGE for a port that
    is taken, SERVER_FAILED.
    """
    port = free(port)
    url = f"http://{LOOPBACK}:{port}/api"
    with locked(server_lock(home), wait=False, what="xmed serve", url=url):
        secret = password(home)
        # The UI asks the server where its API is; without this it takes port 4200 for granted.
        said = {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": secret, "PREFECT_SERVER_API_AUTH_STRING": secret}
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)]
        log = home / "logs" / "prefect-server.log"
        with running(command, os.environ | said, log) as process:
            until = time.monotonic() + START_SECONDS
            while not answers(url):
                if process.poll() is not None or time.monotonic() > until:
                    raise XmedError("SERVER_FAILED", "Prefect's server did not start", "a server", f"see {log}")
                time.sleep(0.3)
            os.environ |= {name: said[name] for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")}
            yield url


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process and whatever it starts, asked to end after the block, and made to when it does not.

    log: where its output is appended; without it, it goes where ours goes. Where this process is killed, the kernel
    asks it to end (Linux): else it would hold its port against the next.
    """
    tied = ["setpriv", "--pdeathsig", "TERM", "--", "sh", "-c", UNLESS_ORPHANED, "sh", str(os.getpid())]
    process = begin([*(tied if shutil.which("setpriv") else ()), *command], environment | child_environment(), log)
    try:
        yield process
    finally:
        end(process)


def begin(command: list[str], environment: dict[str, str], log: Path | None, **as_whom: Any) -> subprocess.Popen[bytes]:
    """A process in a group of its own: Ctrl-C is for xmed, which then tells all of them.

    as_whom: user and group, of subprocess.Popen.
    """
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") if log else open(os.dup(sys.stderr.fileno()), "ab") as output:
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            **as_whom,
        )  # fmt: skip


def end(process: subprocess.Popen[bytes], gently: int = signal.SIGTERM) -> None:
    """Ask a process and whatever it started to end, and make them when they do not."""
    for number, seconds in ((gently, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        if tell(process.pid, number):
            _wait(process, seconds)


def answers(url: str) -> bool:
    """Whether a server answers below a URL: Prefect's API, or MLflow."""
    import requests  # every command imports this module, and few ask a server

    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


def password(home: Path) -> str:
    """`user:password` of this home's server, made at first use and readable by its owner only.

    Whoever may speak to the server may have any command run: on a machine with several users loopback is no wall.
    """
    path = home / "prefect" / "password"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"xmed:{secrets.token_urlsafe(24)}")
    except FileExistsError:
        pass
    return path.read_text(encoding="utf-8").strip()


def free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as problem:
            what = f"port {port} of {LOOPBACK} is taken"
            raise XmedError("USAGE", what, "a free one", "--port 0 finds one; PREFECT_API_URL names one") from problem
        return int(probe.getsockname()[1])


def tell(group: int, number: int) -> bool:
    """Whether there was anybody left in a process group to be told."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a process and everybody of its group have ended, or the time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and (process.poll() is None or tell(process.pid, 0)):
        time.sleep(0.1)
