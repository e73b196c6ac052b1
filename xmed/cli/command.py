"""Command: what every command of `xmed` shares: --json, --debug, exit codes, and errors in one line."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xmed.console.printable import Cleaned, Screen, one_line, printable
from xmed.console.progress import PIPED_WIDTH, progress
from xmed.errors import XmedError
from xmed.processes.termination import last_signal, stoppable
from xmed.server.process_environment import listen, prepare, said, told

DONE, NO, WRONG_INPUT, FAULT, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; everything else goes to stderr.")]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the log and, when something fails, the traceback.")]


@dataclass(frozen=True)
class Answer:
    """What a command found: a JSON document, the same for a person to read, and DONE or NO."""

    document: Any
    show: Callable[[Console], None]
    code: int = DONE


def command(app: typer.Typer) -> Callable[[Callable[..., Answer]], Callable[..., None]]:
    """Make a function that returns an Answer a command of `app`, with the options and manners all of them have."""

    def register(function: Callable[..., Answer]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(as_json: bool, debug: bool, **arguments: Any) -> None:
            given = {name: _expanded(value) for name, value in arguments.items()}
            raise typer.Exit(answer(functools.partial(function, **given), as_json, debug))

        shape = inspect.signature(function, eval_str=True)
        extra = {"as_json": _Json, "debug": _Debug}
        options = [
            inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=a) for n, a in extra.items()
        ]
        run.__signature__ = shape.replace(parameters=[*shape.parameters.values(), *options])  # type: ignore[attr-defined]
        run.__annotations__ = {n: p.annotation for n, p in shape.parameters.items()} | extra
        del run.__wrapped__  # typer would read the options off the function inside
        app.command()(run)
        return run

    return register


def answer(work: Callable[[], Answer], as_json: bool, debug: bool) -> int:
    """Do the work, print its answer or the one line that says why there is none, and return the exit code."""
    journal, out, err = listen(debug), sys.stdout, Screen(stderr=True)
    try:
        prepare()
        # stdout is for the document alone: what a library prints by itself goes to stderr
        with stoppable(), redirect_stdout(Cleaned(sys.stderr)), progress(err):
            found = work()
    except (Exception, KeyboardInterrupt) as problem:
        if _interrupted(problem):
            err.print(
                "interrupted; the same command goes on with it, `xmed doctor` lists what is unfinished", markup=False
            )
            return TERMINATED if last_signal() == signal.SIGTERM else INTERRUPTED
        if debug:
            sys.stderr.writelines(map(printable, told(problem)))
        known = _known(problem)
        if known is None:
            path = journal.write(problem)
            what = said(problem)
            log = str(path or "none: nothing could be written, --debug shows it")
            return refuse(
                f"error[FAULT]: {what[:300]} · log {log}", {"code": "FAULT", "what": what, "log": log}, as_json, FAULT
            )
        parts = {"code": known.code, "what": known.what, "expected": known.expected, "do": known.do}
        return refuse(str(known), parts, as_json, known.exit_code)
    try:
        if as_json:
            out.write(json.dumps(found.document, indent=1, allow_nan=False, default=str) + "\n")
        else:
            found.show(Screen(file=out, width=None if out.isatty() else PIPED_WIDTH))
        out.flush()
    except OSError as problem:
        if problem.errno == errno.EPIPE:
            raise
        full = XmedError("DISK_FULL", f"the answer cannot be written: {problem.strerror}", "room for it", "free some")
        return refuse(str(full), {}, False, WRONG_INPUT)
    return found.code


def _expanded(value: Any) -> Any:
    """A path with ~ for the user's folder, as shells expand it where it stands alone and not behind a `=`."""
    if isinstance(value, Path):
        return Path(os.path.expanduser(value))
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~") else value


def whole_numbers(seeds: str | None) -> list[int] | None:
    """What --seeds says. Raises XmedError USAGE."""
    if seeds is None:
        return None
    try:
        return [int(seed) for seed in seeds.split(",")]
    except ValueError as problem:
        raise XmedError("USAGE", f"--seeds {seeds}", "whole numbers with commas between, such as 0,1,2") from problem


def refuse(line: str, parts: dict[str, str], as_json: bool, code: int) -> int:
    """One line on stderr, and with --json the same in parts on stdout."""
    with suppress(OSError, ValueError):  # a full disk, or nobody who listens any more: the exit code says it
        sys.stderr.write(one_line(line) + "\n")
        sys.stderr.flush()
    if as_json:
        with suppress(OSError, ValueError):
            sys.stdout.write(json.dumps({"error": parts}, indent=1) + "\n")
            sys.stdout.flush()
    return code


def _interrupted(problem: BaseException | None) -> bool:
    """Whether it began with Ctrl-C, though Prefect may have failed to tell its server, which Ctrl-C ended as well."""
    return isinstance(problem, KeyboardInterrupt) or (problem is not None and _interrupted(problem.__context__))


def _is_full(problem: BaseException | None) -> bool:
    """Whether a full disk is at the bottom of it; SQLite, and whoever wraps what it says, tells it in words alone."""
    if problem is None:
        return False
    full = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "database or disk is full" in str(problem) or _is_full(problem.__cause__ or problem.__context__)


def _known(problem: BaseException) -> XmedError | None:
    """The XmedError in it, if this is something a person can act on."""
    if isinstance(problem, XmedError):
        return problem
    if _is_full(problem):
        return XmedError("DISK_FULL", str(problem), "room on the disk", "free some, or set XMED_HOME to another disk")
    return None
