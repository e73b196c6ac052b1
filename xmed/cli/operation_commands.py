"""Operations: the commands for whoever looks after a home: doctor, servers, backups, published runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xmed.cli.command import DONE, NO, Answer, command
from xmed.console.progress import report


def add(app: typer.Typer) -> None:
    """Make these the commands of `app`."""
    for function in (publish, doctor, up, down, backup, restore):
        command(app)(function)


def publish(
    run: Annotated[str, typer.Argument(help="A run's id or its folder.")],
    url: Annotated[str, typer.Argument(help="Where to: s3://bucket/xmed, file:///mnt/xmed, or what fsspec knows.")],
) -> Answer:
    """Copy a finished run, its models and its report to a shared store; nothing is sent twice."""
    from xmed.app import published_runs
    from xmed.run import Run, home

    document = published_runs.publish(Run.find(run, home()), url, report)
    said = f"{document['url']}  ({document['copied']} of {document['files']} files were new)"
    return Answer(document, lambda console: console.print(said, markup=False, highlight=False, soft_wrap=True))


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Close what killed processes left behind.")] = False,
) -> Answer:
    """Is this installation sound: versions, device, disk, databases, and what killed processes left. Exit 1: no."""
    from xmed.console.tables import show_checks
    from xmed.run import home
    from xmed.server.doctor import examine

    checks = [asdict(check) for check in examine(home(), fix)]
    ok = all(check["ok"] for check in checks)
    return Answer({"ok": ok, "checks": checks}, lambda console: show_checks(console, checks), DONE if ok else NO)


def up(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of Prefect's pages: as before, or 4200; 0: any that is free.")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of MLflow's pages: as before, or 5000; 0: any that is free.")
    ] = None,
) -> Answer:
    """Servers that stand by for this home: PostgreSQL, MLflow, Prefect, and a worker that starts scheduled runs."""
    from xmed.run import home
    from xmed.server.process_environment import make_home
    from xmed.server.stack.up_down import up as work

    make_home()
    document = work(home(), port, mlflow_port)
    return Answer(document, lambda console: _show(console, document))


def down() -> Answer:
    """End what `xmed up` started; a run at work saves first. `xmed up` goes on with the same data."""
    from xmed.run import home
    from xmed.server.stack.up_down import down as work

    document = work(home())
    said = f"ended: {', '.join(document['ended'])}" if document["ended"] else "nothing was up"
    return Answer(document, lambda console: console.print(said))


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; .tar, or .tar.gz to compress it.")],
) -> Answer:
    """This home in one file: registry, runs, reports, store, audit log; without any key. Servers may stay up."""
    from xmed.run import home
    from xmed.server.backup import backup as work

    document = work(home(), file.absolute())
    line = f"{document['files']} files, {document['bytes'] / 1e6:.1f} MB: {document['file']}"
    return Answer(document, lambda console: console.print(line, markup=False, highlight=False, soft_wrap=True))


def restore(file: Annotated[Path, typer.Argument(help="What `xmed backup` wrote.")]) -> Answer:
    """Bring a backup back, into a home (XMED_HOME) where there is nothing yet."""
    from xmed.run import home
    from xmed.server.restore import restore as work

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
