"""Main: the `xmed` command, from its arguments to its exit code."""

from __future__ import annotations

import io
import os
import sys

import typer

from xmed.cli.command import DONE, WRONG_INPUT, refuse
from xmed.cli.root import app
from xmed.errors import XmedError

UsageError = typer.BadParameter.__mro__[1]  # click's; typer has carried its own copy of click since 0.26


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 done and the answer is no, 2 wrong input, 3 an internal fault."""
    given = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        stand()
    try:
        return int(app(given or ["--help"], prog_name="xmed", standalone_mode=False) or DONE)
    except BrokenPipeError:  # xmed methods | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except typer.Abort:
        return WRONG_INPUT
    except Exception as problem:
        if not isinstance(problem, UsageError):
            raise
        said = " ".join(problem.format_message().split())  # type: ignore[attr-defined]
        context = getattr(problem, "ctx", None)
        help_ = f"{context.command_path if context else 'xmed'} --help"
        parts = {"code": "USAGE", "what": said, "expected": f"what `{help_}` says", "do": ""}
        return refuse(str(XmedError("USAGE", said, parts["expected"])), parts, "--json" in given, WRONG_INPUT)


def stand() -> None:
    """See to it that there are a standard output and a standard error, and that every character can be written to them.

    A file that is opened while one of them is closed takes its number, and what is meant for a screen lands in it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
