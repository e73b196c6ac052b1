"""Root: the command `xmed` with its groups of commands. What is heavy is imported by the command that needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from xmed import __version__
from xmed.cli import data_commands, model_commands, operation_commands, report_commands, run_commands
from xmed.cli.command import DONE

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train on a labelled modality, adapt to an unlabelled one, and keep the evidence.",
    epilog="Exit codes: 0 done · 1 done, and the answer is no · 2 wrong input · 3 an internal fault.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"xmed {__version__}")
        raise typer.Exit(DONE)


@app.callback()
def xmed(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None:
    """Train on a labelled modality, adapt to an unlabelled one, and keep the evidence."""
    del version


for commands in (run_commands, data_commands, model_commands, operation_commands):
    commands.add(app)
app.add_typer(report_commands.app, name="report")
