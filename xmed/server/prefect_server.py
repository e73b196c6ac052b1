"""Prefect's server on loopback for one home: its database, password and log lie in the home. Also: its processes."""

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

from xmed.errors import XmedError
from xmed.files.locks import hold_lock, lock_owner
from xmed.home import Home
from xmed.processes.child import child_environment

LOOPBACK, START_SECONDS, STOP_SECONDS = "127.0.0.1", 180.0, 20.0
UP = "xmed up"
"""What the owner of the server's lock says its work is, where `xmed up` holds it."""
# The kernel reports no death of a parent from before it was asked to (prctl(2), PR_SET_PDEATHSIG).
UNLESS_ORPHANED = '[ "$PPID" = "$1" ] && shift && exec "$@"'


def server_lock(home: Path) -> Path:
    """The lock file of whoever serves a home; its owner's `url` is the server's."""
    return Home(home).server_lock


def use_server(home: Path) -> str | None:
    """Make this process use the Prefect server of PREFECT_API_URL, or else the one that serves this home at present.

    To be called before Prefect is imported, which reads its settings once.

    Args:
        home: The home.

    Returns:
        The server's URL; None where there is no server: Prefect then starts one within this process while it needs it.
    """
    if not os.environ.get("PREFECT_API_URL"):
        owner, is_held = lock_owner(server_lock(home))
        if not (is_held and owner and owner.url and server_answers(owner.url)):
            return None
        os.environ |= {"PREFECT_API_URL": owner.url, "PREFECT_API_AUTH_STRING": server_password(home)}
    return os.environ["PREFECT_API_URL"]


@contextmanager
def run_prefect_server(home: Path, port: int) -> Iterator[str]:
    """Run a server of this home's database for the time of the block, and make this process use it.

    Args:
        home: The home.
        port: Port on loopback; 0 takes any free one.

    Yields:
        The URL of the server's API.

    Raises:
        XmedError: BUSY where somebody serves this home already, USAGE for a port that is taken, SERVER_FAILED.
    """
    port = free_port(port)
    url = f"http://{LOOPBACK}:{port}/api"
    with hold_lock(server_lock(home), wait=False, what="xmed serve", url=url):
        password = server_password(home)
        # The pages ask the server where its API is; without PREFECT_API_URL they assume port 4200.
        client = {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": password}
        environment = os.environ | client | {"PREFECT_SERVER_API_AUTH_STRING": password}
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)]
        log = Home(home).prefect_log
        with managed_process(command, environment, log) as process:
            until = time.monotonic() + START_SECONDS
            while not server_answers(url):
                if process.poll() is not None or time.monotonic() > until:
                    raise XmedError("SERVER_FAILED", "Prefect's server did not start", "a server", f"see {log}")
                time.sleep(0.3)
            os.environ |= client
            yield url


@contextmanager
def managed_process(
    command: list[str], environment: dict[str, str], log: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the time of the block, then stop it and whatever it started.

    Where this process is killed, the kernel asks the other one to end (Linux): else it would keep its port.

    Args:
        command: What to run.
        environment: All environment variables of the process.
        log: File that its output is appended to; None: this process's stderr.
    """
    tied = ["setpriv", "--pdeathsig", "TERM", "--", "sh", "-c", UNLESS_ORPHANED, "sh", str(os.getpid())]
    process = start_process(
        [*(tied if shutil.which("setpriv") else ()), *command], environment | child_environment(), log
    )
    try:
        yield process
    finally:
        stop_process(process)


def start_process(
    command: list[str], environment: dict[str, str], log: Path | None, **account: Any
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own: Ctrl-C then reaches xmed alone, which stops the others in order.

    Args:
        command: What to run.
        environment: All environment variables of the process.
        log: File that its output is appended to; None: this process's stderr.
        **account: User and group to run as, as subprocess.Popen takes them.
    """
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") if log else open(os.dup(sys.stderr.fileno()), "ab") as output:
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            **account,
        )  # fmt: skip


def stop_process(process: subprocess.Popen[bytes], first_signal: int = signal.SIGTERM) -> None:
    """Ask a process and whatever it started to end, and kill them where they do not."""
    for number in (first_signal, signal.SIGKILL):
        if signal_group(process.pid, number):
            _wait_for_group(process, STOP_SECONDS)


def server_answers(url: str) -> bool:
    """Whether a server answers below a URL: Prefect's API, or MLflow."""
    import requests  # every command imports this module, and few ask a server

    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


def server_password(home: Path) -> str:
    """`user:password` of this home's server, made at first use in a file that only its owner can read.

    Whoever may speak to the server may have any command run: on a machine with several users, loopback protects nobody.
    """
    path = Home(home).prefect_password
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"xmed:{secrets.token_urlsafe(24)}")
    except FileExistsError:
        pass
    return path.read_text(encoding="utf-8").strip()


def free_port(port: int) -> int:
    """Check that a port of loopback is free; 0 finds a free one.

    Raises:
        XmedError: USAGE, where the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as problem:
            what = f"port {port} of {LOOPBACK} is taken"
            raise XmedError("USAGE", what, "a free one", "--port 0 finds one; PREFECT_API_URL names one") from problem
        return int(probe.getsockname()[1])


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; returns False where nobody of it is left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _wait_for_group(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a process and everybody of its group have ended, or the time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and (process.poll() is None or signal_group(process.pid, 0)):
        time.sleep(0.1)
