"""Upkeep: the commands that bring a home's servers up and down, and that copy the home and bring it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipelines.command import Answer, command


def add(app: typer.Typer) -> None:
    """Make these the commands of `app`."""
    for function in (up, down, backup, restore):
        command(app)(function)


def up(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of Prefect's pages: as before, or 4200; 0: any that is free.")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of MLflow's pages: as before, or 5000; 0: any that is free.")
    ] = None,
) -> Answer:
    """Servers that stand by for this home: PostgreSQL, MLflow, Prefect, and a worker that starts scheduled runs."""
    from pipelines.stack.standing import up as work
    from pipelines.surroundings import make_home
    from xmed.run import home

    make_home()
    document = work(home(), port, mlflow_port)
    return Answer(document, lambda console: _show(console, document))


def down() -> Answer:
    """End what `xmed up` started; a run at work saves first. `xmed up` goes on with the same data."""
    from pipelines.stack.standing import down as work
    from xmed.run import home

    document = work(home())
    said = f"ended: {', '.join(document['ended'])}" if document["ended"] else "nothing was up"
    return Answer(document, lambda console: console.print(said))


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; .tar, or .tar.gz to compress it.")],
) -> Answer:
    """This home in one file: registry, runs, reports, store, audit log; without any key. Servers may stay up."""
    from pipelines.backup import backup as work
    from xmed.run import home

    document = work(home(), file.absolute())
    line = f"{document['files']} files, {document['bytes'] / 1e6:.1f} MB: {document['file']}"
    return Answer(document, lambda console: console.print(line, markup=False, highlight=False, soft_wrap=True))


def restore(file: Annotated[Path, typer.Argument(help="What `xmed backup` wrote.")]) -> Answer:
    """Bring a backup back, into a home (XMED_HOME) where there is nothing yet."""
    from pipelines.restore import restore as work
    from xmed.run import home

    document = work(file.absolute(), home())
    up = "; `xmed up` brings its servers up" if document["registry"] == "postgresql" else ""
    line = f"{document['files']} files of {document['made']} in {document['home']}{up}"
    return Answer(document, lambda console: console.print(line, markup=False, highlight=False, soft_wrap=True))


def _show(console: Console, document: dict[str, Any]) -> None:
    for name in ("prefect", "mlflow"):
        one = document[name]
        line = f"{name:9}{one['url']}   user {one['user']}, password in {one['password']}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    postgres = document["postgres"]
    for line in (f"postgres {postgres['address']}   data in {postgres['data']}", f"logs     {document['logs']}"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if document["embedded"]:
        line = f"What was registered before stays in {document['embedded']}: MLFLOW_TRACKING_URI may name it"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
