"""What every command of `xmed` shares: --json, --debug, exit codes, and errors in one line."""

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
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xmed.console.printable import EscapedStream, SafeConsole, escape_line, escape_text
from xmed.console.progress_display import PIPED_WIDTH, progress
from xmed.errors import XmedError
from xmed.processes.termination import last_signal, stoppable
from xmed.server.fault_log import describe_fault, format_traceback, start_journal
from xmed.server.process_environment import prepare_environment

DONE, NO, WRONG_INPUT, FAULT, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143
"""Exit codes of `xmed`; INTERRUPTED and TERMINATED are 128 + the number of the signal, as shells report it."""
INTERRUPTED_LINE = "interrupted; the same command goes on with it, `xmed doctor` lists what is unfinished"
LONGEST_FAULT = 300  # characters of an internal fault on the terminal; the log has all of it

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; everything else on stderr.")]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the log and, after an error, the Python traceback.")]


@dataclass(frozen=True)
class Answer:
    """What a command returns.

    Attributes:
        document: The answer, printed with --json: a record, a dataclass, or plain JSON values that may hold some.
        show: Prints the same answer for a person to read.
        code: Exit code: DONE, or NO where the answer to the question is "no".
    """

    document: object
    show: Callable[[Console], None]
    code: int = DONE


def add_command(app: typer.Typer, name: str, function: Callable[..., Answer]) -> None:
    """Add a function to `app` as a command with the options that every command has.

    Args:
        app: The group of commands to add to.
        name: The command's name on the command line.
        function: Does the work and returns an Answer. Its parameters become arguments and options, its docstring the
            help text.
    """

    @functools.wraps(function)
    def run(as_json: bool, debug: bool, **arguments: Any) -> None:
        expanded = {parameter: _expand_user(value) for parameter, value in arguments.items()}
        raise typer.Exit(answer(functools.partial(function, **expanded), as_json, debug))

    signature = inspect.signature(function, eval_str=True)
    shared = {"as_json": _Json, "debug": _Debug}
    options = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for option, annotation in shared.items()
    ]
    all_parameters = [*signature.parameters.values(), *options]
    run.__signature__ = signature.replace(parameters=all_parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {key: value.annotation for key, value in signature.parameters.items()} | shared
    del run.__wrapped__  # typer would read the options of the wrapped function instead
    app.command(name)(run)


def answer(work: Callable[[], Answer], as_json: bool, debug: bool) -> int:
    """Do a command's work, and print its answer or the line that says why there is none.

    Args:
        work: Does the work and returns the answer.
        as_json: Whether to print a JSON document instead of text.
        debug: Whether to show the log and tracebacks.

    Returns:
        The exit code.
    """
    journal, out, err = start_journal(debug), sys.stdout, SafeConsole(stderr=True)
    try:
        prepare_environment()
        # stdout is for the document alone: what a library prints by itself goes to stderr
        with stoppable(), redirect_stdout(EscapedStream(sys.stderr)), progress(err):
            result = work()
    except (Exception, KeyboardInterrupt) as problem:
        if _is_interruption(problem):
            err.print(INTERRUPTED_LINE, markup=False)
            return TERMINATED if last_signal() == signal.SIGTERM else INTERRUPTED
        if debug:
            sys.stderr.writelines(map(escape_text, format_traceback(problem)))
        error = _as_xmed_error(problem)
        if error is not None:
            parts = {"code": error.code, "what": error.what, "expected": error.expected, "do": error.do}
            return print_error(str(error), parts, as_json, error.exit_code)
        what = describe_fault(problem)
        log = str(journal.write(problem) or "none: nothing could be written, --debug shows it")
        line = f"error[FAULT]: {what[:LONGEST_FAULT]} · log {log}"
        return print_error(line, {"code": "FAULT", "what": what, "log": log}, as_json, FAULT)
    return _print_answer(result, out, as_json)


def print_error(line: str, parts: dict[str, str], as_json: bool, code: int) -> int:
    """Print an error as one line on stderr and, with --json, its parts on stdout.

    Returns:
        The exit code that was given.
    """
    with suppress(OSError, ValueError):  # the disk is full, or the reader has gone: the exit code still says it
        sys.stderr.write(escape_line(line) + "\n")
        sys.stderr.flush()
    if as_json:
        with suppress(OSError, ValueError):
            sys.stdout.write(json.dumps({"error": parts}, indent=1) + "\n")
            sys.stdout.flush()
    return code


def parse_seeds(seeds: str | None) -> list[int] | None:
    """Parse the value of --seeds, such as "0,1,2".

    Raises:
        XmedError: USAGE, where it is not a list of whole numbers.
    """
    if seeds is None:
        return None
    try:
        return [int(seed) for seed in seeds.split(",")]
    except ValueError as problem:
        raise XmedError("USAGE", f"--seeds {seeds}", "whole numbers with commas between, such as 0,1,2") from problem


def _print_answer(result: Answer, out: Any, as_json: bool) -> int:
    try:
        if as_json:
            out.write(json.dumps(result.document, indent=1, allow_nan=False, default=_as_plain) + "\n")
        else:
            result.show(SafeConsole(file=out, width=None if out.isatty() else PIPED_WIDTH))
        out.flush()
    except OSError as problem:
        if problem.errno == errno.EPIPE:
            raise
        full = XmedError("DISK_FULL", f"the answer cannot be written: {problem.strerror}", "room for it", "free some")
        return print_error(str(full), {}, False, WRONG_INPUT)
    return result.code


def _as_plain(value: object) -> object:
    """What JSON has no type for, in plain values: records and dataclasses as objects, everything else as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "model_dump"):
        from xmed.records.record import Stored, content  # only commands that made a record have loaded it

        return content(value) if isinstance(value, Stored) else str(value)
    return str(value)


def _expand_user(value: Any) -> Any:
    """A path or text with a leading ~ replaced; shells do not replace it behind a `=`."""
    if isinstance(value, Path):
        return Path(os.path.expanduser(value))
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~") else value


def _is_interruption(problem: BaseException | None) -> bool:
    """Whether Ctrl-C was the cause; Prefect may raise another error after it, since its server was ended as well."""
    return isinstance(problem, KeyboardInterrupt) or (problem is not None and _is_interruption(problem.__context__))


def _is_disk_full(problem: BaseException | None) -> bool:
    """Whether a full disk is the cause; SQLite and the packages above it say so only in the text of their errors."""
    if problem is None:
        return False
    is_full = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)
    cause = problem.__cause__ or problem.__context__
    return is_full or "database or disk is full" in str(problem) or _is_disk_full(cause)


def _as_xmed_error(problem: BaseException) -> XmedError | None:
    """The XmedError to print, where a person can act on the problem; None for an internal fault."""
    if isinstance(problem, XmedError):
        return problem
    if _is_disk_full(problem):
        return XmedError("DISK_FULL", str(problem), "room on the disk", "free some, or set XMED_HOME to another disk")
    return None
