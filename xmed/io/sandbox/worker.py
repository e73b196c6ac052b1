"""Run a reader in a separate process with limits, so that a crash does not end the caller.

Parsers and codecs can abort, hang or take all memory, and no `except` catches that. A process is reused for further
cases, so that its imports are paid for once; after a fault a new one starts. It writes no core dump (which would
contain names), gets no environment variables that may hold secrets, and prints nothing. It protects against faults, not
against an attacker who already runs code in it: such code has the rights of its user.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from xmed.errors import XmedError
from xmed.io.file_kinds import reader_errors
from xmed.io.notes import Note, add_note, collect_notes
from xmed.io.sandbox.channel import Channel
from xmed.io.sandbox.deadline import Deadline, DeadlineWatcher
from xmed.io.sandbox.limits import ReaderBudget, resource_limits
from xmed.processes.child import child_environment

P = ParamSpec("P")
T = TypeVar("T")
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
START_SECONDS = 180.0
"""How long a new process may take to start; imports have taken twenty seconds on a busy machine."""
END_SECONDS = 5.0
"""How long to wait for the end of a killed process; one that hangs in the kernel ends later."""


def run_in_sandbox(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Compute `function(*arguments, **named)` in a sandboxed process. Several threads may call it at once.

    Notes that the function makes are recorded in this process.

    Args:
        function: A function of a module. The function, its arguments and its result must be picklable.
        *arguments: Its arguments.
        **named: Its named arguments.

    Returns:
        What the function returns.

    Raises:
        XmedError: The error of the function; OOM, READER_TIMEOUT or READER_CRASHED if the process died; READER_FAILED
            for any other exception, whose message is not repeated because it may contain names.
    """
    return run_in_sandbox_within(ReaderBudget(), function, *arguments, **named)


def run_in_sandbox_within(budget: ReaderBudget, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Do the same as `run_in_sandbox` with another budget."""
    worker = _idle_worker() or _Worker()
    try:
        problem, result, notes = worker.ask((Path.cwd(), budget, function, arguments, named), budget.waiting)
    except BaseException:
        worker.end()  # its answer would no longer be read
        raise
    _idle.append(worker)
    for recorded in notes:
        add_note(recorded.code, recorded.text)
    if problem is not None:
        raise problem
    returned: T = result
    return returned


def _idle_worker() -> _Worker | None:
    """Return a process that waits for work, or None. One that ended meanwhile is removed."""
    while True:
        try:
            worker = _idle.pop()
        except IndexError:
            return None
        if worker.alive:
            return worker
        worker.end()


class _Worker:
    """One sandboxed process, the channel to it, and its deadline."""

    def __init__(self) -> None:
        own_socket, worker_socket = socket.socketpair()
        memory = os.memfd_create("xmed")
        self._deadline, limit = Deadline.create()
        shared = (worker_socket.fileno(), memory, limit)
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)  # the worker finds the same modules
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from xmed.io.sandbox.worker import serve_tasks; serve_tasks{shared}"],
            env={
                **environment,
                **child_environment(),
                "PYTHONPATH": paths,
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
            pass_fds=shared,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends the caller, which then ends this process
        )
        worker_socket.close()
        os.close(limit)
        self._channel, self._given_up = Channel(own_socket, memory), False
        try:
            with self._kept_to(START_SECONDS):
                self._channel.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as problem:
            self.end()
            raise RuntimeError("the process that reads files did not start; its message stands above") from problem

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, task: Any, seconds: float) -> Any:
        """Return the answer to a task. The process may extend its deadline (`xmed.io.sandbox.limits.grow_limits`).

        Raises:
            XmedError: OOM, READER_TIMEOUT or READER_CRASHED if the process died or did not answer.
        """
        try:
            with self._kept_to(seconds):
                self._channel.send(task)
                return self._channel.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as problem:
            ended = self._ended()
            raise _death_error(signal.SIGALRM if self._given_up or ended is None else -ended) from problem

    def end(self) -> None:
        self._process.kill()
        self._ended()
        self._channel.close()

    def _kept_to(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Set the deadline, and watch it within the block."""
        self._deadline.set(time.monotonic() + seconds)
        return _deadline_watcher.watching(self._process.pid, self._deadline, self._give_up)

    def _give_up(self) -> None:
        """Kill the process and release the thread that waits for its answer."""
        self._given_up = True
        self._process.kill()
        self._channel.hang_up()

    def _ended(self) -> int | None:
        """Return the exit code, or None for a killed process that hangs in the kernel."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_SECONDS)
        return None


def _death_error(number: int) -> XmedError:
    """Return the error for a process that ended by a signal, or with an exit code (negative `number`)."""
    if number in (signal.SIGXCPU, signal.SIGALRM):
        return XmedError(
            "READER_TIMEOUT", "the reader was stopped: it took too long", "a file that can be read within a minute"
        )
    if number == signal.SIGKILL:
        return XmedError("OOM", "the reader was killed, most likely because memory ran out", "memory for one case")
    how = signal.Signals(number).name if number > 0 else f"exit code {-number}"
    return XmedError("READER_CRASHED", f"the reader's process ended with {how}", "a file that its codec can read")


_idle: list[_Worker] = []
_deadline_watcher = DeadlineWatcher()


def _after_fork() -> None:
    global _deadline_watcher
    _idle.clear()  # two processes must not share a channel
    _deadline_watcher = DeadlineWatcher()  # a forked process has no other threads


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _end_idle_workers() -> None:
    while _idle:
        _idle.pop().end()


def serve_tasks(words: int, memory: int, limit: int) -> None:
    """Answer tasks until the other end of the channel is closed. This is the main loop of a sandboxed process.

    Args:
        words: Descriptor of the socket.
        memory: Descriptor of the shared memory.
        limit: Descriptor of the deadline.
    """
    channel, deadline = Channel(socket.socket(fileno=words), memory), Deadline(limit)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(os.devnull, "wb") as null_device:  # codecs print their warnings
        for output in (1, 2):
            os.dup2(null_device.fileno(), output)
    channel.send("ready")
    while True:
        try:
            folder, budget, function, arguments, named = channel.receive()
        except (EOFError, OSError):
            return
        os.chdir(folder)
        with resource_limits(budget, deadline.set):
            answer = _run_task(function, arguments, named)
        channel.send(answer)


def _run_task(function: Callable[..., Any], arguments: Any, named: Any) -> tuple[XmedError | None, Any, list[Note]]:
    """Run a task and return its error, its result and its notes."""
    with collect_notes() as notes:
        try:
            with reader_errors("the case"):
                return None, function(*arguments, **named), notes
        except XmedError as problem:
            return problem, None, notes
