"""The `xmed` command: its groups of commands, and the way from arguments to an exit code.

A command imports heavy packages inside its function, so that `xmed --help` and a mistyped option load none of them.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from xmed import __version__
from xmed.cli import (
    audit_commands,
    data_commands,
    model_commands,
    operation_commands,
    report_commands,
    run_commands,
)
from xmed.cli.command import DONE, WRONG_INPUT, Answer, add_command, print_error
from xmed.errors import XmedError
from xmed.processes.child import mark_own_process

UsageError = typer.BadParameter.__mro__[1]  # click's; typer has carried its own copy of click since 0.26

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train on a labelled modality, adapt to an unlabelled one, and keep the evidence.",
    epilog="Exit codes: 0 done · 1 done, and the answer is no · 2 wrong input · 3 an internal fault.",
)


def _print_version(given: bool) -> None:
    if given:
        typer.echo(f"xmed {__version__}")
        raise typer.Exit(DONE)


@app.callback()
def xmed_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train on a labelled modality, adapt to an unlabelled one, and keep the evidence."""
    del version


def _add_commands(group: typer.Typer, functions: dict[str, Callable[..., Answer]]) -> None:
    for name, function in functions.items():
        add_command(group, name, function)


for module in (run_commands, data_commands, model_commands, operation_commands):
    _add_commands(app, module.COMMANDS)
for group_name, submodule in (("audit", audit_commands), ("report", report_commands)):
    subcommands = typer.Typer(help=submodule.HELP, no_args_is_help=True)
    _add_commands(subcommands, submodule.COMMANDS)
    app.add_typer(subcommands, name=group_name)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; None reads sys.argv.

    Returns:
        0 done, 1 done and the answer is no, 2 wrong input, 3 an internal fault.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        mark_own_process()
        ensure_standard_streams()
    try:
        return int(app(words or ["--help"], prog_name="xmed", standalone_mode=False) or DONE)
    except BrokenPipeError:  # xmed methods | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except typer.Abort:
        return WRONG_INPUT
    except Exception as problem:
        if not isinstance(problem, UsageError):
            raise
        message = " ".join(problem.format_message().split())  # type: ignore[attr-defined]  # click's UsageError has it
        context = getattr(problem, "ctx", None)
        help_command = f"{context.command_path if context else 'xmed'} --help"
        error = XmedError("USAGE", message, f"what `{help_command}` says")
        parts = {"code": error.code, "what": error.what, "expected": error.expected, "do": error.do}
        return print_error(str(error), parts, "--json" in words, WRONG_INPUT)


def ensure_standard_streams() -> None:
    """Make sure that standard input, output and error are open and can encode every character.

    Where one of them is closed, the next file that is opened takes its number, and what is meant for the screen would
    be written into that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
