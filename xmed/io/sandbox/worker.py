"""Worker: a reader at work in a process of its own, within limits of memory and time, so that it may die alone.

Parsers and codecs fail in ways that no `except` sees: they abort, hang, and take all the memory there is. The process
stays warm from case to case, so that its imports are paid for once; after a fault there is a new one. It leaves no core
dump (they hold names), knows no environment (it holds secrets) and prints nothing. It guards against faults: whoever
already runs code of his own in there has the rights of its user.
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
from xmed.io.file_kinds import reading
from xmed.io.notes import Note, collected, note
from xmed.io.sandbox.channel import Line
from xmed.io.sandbox.deadline import Deadline, Timekeeper
from xmed.io.sandbox.limits import Budget, limited
from xmed.processes.child import child_environment

P = ParamSpec("P")
T = TypeVar("T")
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
START_SECONDS = 180.0
"""How long a new process may take to its first word: on a busy machine the imports have taken twenty."""
END_SECONDS = 5.0
"""How long one that was killed is waited for: a process that hangs in the kernel dies when the kernel lets it go."""


def guarded(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """`function(*arguments, **named)`, computed in a guarded process. Its notes are made here as if it had run here.

    function: of a module, by name; it, its arguments and its result must pickle. Threads may ask at once.

    Raises XmedError as the function does; OOM, READER_TIMEOUT or READER_CRASHED where it died; READER_FAILED for any
    other exception, whose message may name people and stays where it was.
    """
    return within(Budget(), function, *arguments, **named)


def within(budget: Budget, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """As `guarded`, with another budget."""
    worker = _at_rest() or _Worker()
    try:
        problem, result, notes = worker.ask((Path.cwd(), budget, function, arguments, named), budget.waiting)
    except BaseException:
        worker.end()  # whatever it was doing, nobody waits for it any more
        raise
    _idle.append(worker)
    for made in notes:
        note(made.code, made.text)
    if problem is not None:
        raise problem
    return result


def _at_rest() -> _Worker | None:
    """A process that waits for work; one that ended meanwhile is no file's fault."""
    while True:
        try:
            worker = _idle.pop()
        except IndexError:
            return None
        if worker.alive:
            return worker
        worker.end()


class _Worker:
    """One process, the line to it, and the time by which it must have answered."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        memory = os.memfd_create("xmed")
        self._deadline, limit = Deadline.made()
        shared = (theirs.fileno(), memory, limit)
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)  # what is imported here, is found there
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from xmed.io.sandbox.worker import serve; serve{shared}"],
            env={
                **kept,
                **child_environment(),
                "PYTHONPATH": paths,
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
            pass_fds=shared,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for whoever asked, who then ends this
        )
        theirs.close()
        os.close(limit)
        self._line, self._given_up = Line(ours, memory), False
        try:
            with self._kept_to(START_SECONDS):
                self._line.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as problem:
            self.end()
            raise RuntimeError("the process that reads files did not start; its message stands above") from problem

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, task: Any, seconds: float) -> Any:
        """The answer to a task, which may put off its deadline as it goes on (`xmed.io.sandbox.limits.afford`).

        Raises XmedError OOM, READER_TIMEOUT, READER_CRASHED for a process that died of it, or did not come back.
        """
        try:
            with self._kept_to(seconds):
                self._line.send(task)
                return self._line.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as problem:
            ended = self._ended()
            raise _died(signal.SIGALRM if self._given_up or ended is None else -ended) from problem

    def end(self) -> None:
        self._process.kill()
        self._ended()
        self._line.close()

    def _kept_to(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        self._deadline.tell(time.monotonic() + seconds)
        return _timekeeper.keeping(self._process.pid, self._deadline, self._give_up)

    def _give_up(self) -> None:
        """It is overdue: nobody waits for it any more, not even for its death."""
        self._given_up = True
        self._process.kill()
        self._line.hang_up()

    def _ended(self) -> int | None:
        """Its exit code; None for one that was killed, and hangs in the kernel."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_SECONDS)
        return None


def _died(number: int) -> XmedError:
    if number in (signal.SIGXCPU, signal.SIGALRM):
        return XmedError("READER_TIMEOUT", "the reader was stopped: it took too long", "a file that reads in a minute")
    if number == signal.SIGKILL:
        return XmedError("OOM", "the reader was killed, most likely for want of memory", "memory for one case")
    how = signal.Signals(number).name if number > 0 else f"exit code {-number}"
    return XmedError("READER_CRASHED", f"the reader's process ended with {how}", "a file its codecs survive")


_idle: list[_Worker] = []
_timekeeper = Timekeeper()


def _after_fork() -> None:
    global _timekeeper
    _idle.clear()  # two must not talk on one line
    _timekeeper = Timekeeper()  # threads stay with the parent


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()


def serve(words: int, memory: int, limit: int) -> None:
    """Answer tasks until nobody asks any more: what a guarded process does all its life."""
    line, deadline = Line(socket.socket(fileno=words), memory), Deadline(limit)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(os.devnull, "wb") as nowhere:  # codecs print what they stumble over
        for output in (1, 2):
            os.dup2(nowhere.fileno(), output)
    line.send("ready")
    while True:
        try:
            folder, budget, function, arguments, named = line.receive()
        except (EOFError, OSError):
            return
        os.chdir(folder)
        with limited(budget, deadline.tell):
            answer = _answer(function, arguments, named)
        line.send(answer)


def _answer(function: Callable[..., Any], arguments: Any, named: Any) -> tuple[XmedError | None, Any, list[Note]]:
    with collected() as notes:
        try:
            with reading("the case"):
                return None, function(*arguments, **named), notes
        except XmedError as problem:
            return problem, None, notes
