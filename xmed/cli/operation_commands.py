"""Commands for whoever looks after a home: doctor, servers, backups, published runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xmed.cli.command import DONE, NO, Answer
from xmed.cli.options import RunId
from xmed.console.printable import print_line
from xmed.console.progress_display import report


def publish_command(
    run: RunId,
    url: Annotated[
        str, typer.Argument(help="Where to copy it: s3://bucket/xmed, file:///mnt/xmed, or another URL of fsspec.")
    ],
) -> Answer:
    """Copy a finished run, its models and its report to a shared store; files that are there are not sent again.

    Example: xmed publish RUN s3://bucket/xmed
    """
    from xmed.app import published_runs
    from xmed.run import Run, home

    published = published_runs.publish(Run.find(run, home()), url, report)
    line = f"{published.url}  ({published.copied} of {published.files} files were new)"
    return Answer(published, lambda console: print_line(console, line))


def doctor_command(
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Also repair what can be repaired: stale locks, dead runs, open files, moved homes."
        ),
    ] = False,
) -> Answer:
    """Check this installation: versions, device, disk, databases, and what killed processes left. Exit code 1: a fault.

    Example: xmed doctor
    """
    from xmed.console.server_tables import show_checks
    from xmed.run import home
    from xmed.server.doctor import examine

    checks = list(examine(home(), fix))
    is_sound = all(check.ok for check in checks)
    document = {"ok": is_sound, "checks": checks}
    return Answer(document, lambda console: show_checks(console, checks), DONE if is_sound else NO)


def _port_option(help: str) -> Any:
    """An option for the port of a server; 0 takes any free one."""
    return typer.Option(min=0, max=65535, help=help, show_default=False)


def up_command(
    port: Annotated[
        int | None, _port_option("Port of Prefect's pages; 0 takes any free one. Default: as before, or 4200.")
    ] = None,
    mlflow_port: Annotated[
        int | None, _port_option("Port of MLflow's pages; 0 takes any free one. Default: as before, or 5000.")
    ] = None,
) -> Answer:
    """Start the servers of this home: PostgreSQL, MLflow, Prefect, and a worker for scheduled runs. They keep running.

    Example: xmed up
    """
    from xmed.console.server_tables import show_servers
    from xmed.run import home
    from xmed.server.process_environment import make_home
    from xmed.server.stack.up_down import up

    make_home()
    servers = up(home(), port, mlflow_port)
    return Answer(servers, lambda console: show_servers(console, servers))


def down_command() -> Answer:
    """Stop what `xmed up` started; a run at work saves first, and the next `xmed up` continues it.

    Example: xmed down
    """
    from xmed.run import home
    from xmed.server.stack.up_down import down

    stopped = down(home())
    line = f"ended: {', '.join(stopped.ended)}" if stopped.ended else "nothing was up"
    return Answer(stopped, lambda console: print_line(console, line))


def backup_command(
    file: Annotated[Path, typer.Argument(help="The file to write: NAME.tar, or NAME.tar.gz to compress it.")],
) -> Answer:
    """Write this home to one file: registry, runs, reports, store, audit log; no keys. Servers may keep running.

    Example: xmed backup /backup/xmed.tar.gz
    """
    from xmed.run import home
    from xmed.server.backup import backup

    summary = backup(home(), file.absolute())
    line = f"{summary.files} files, {summary.bytes / 1e6:.1f} MB: {summary.file}"
    return Answer(summary, lambda console: print_line(console, line))


def restore_command(file: Annotated[Path, typer.Argument(help="A file that `xmed backup` wrote.")]) -> Answer:
    """Restore a backup into an empty home; XMED_HOME names it.

    Example: XMED_HOME=/srv/xmed xmed restore /backup/xmed.tar.gz
    """
    from xmed.run import home
    from xmed.server.restore import restore

    summary = restore(file.absolute(), home())
    next_step = "; `xmed up` starts its servers" if summary.registry == "postgresql" else ""
    line = f"{summary.files} files of {summary.made_at} in {summary.home}{next_step}"
    return Answer(summary, lambda console: print_line(console, line))


COMMANDS = {
    "publish": publish_command,
    "doctor": doctor_command,
    "up": up_command,
    "down": down_command,
    "backup": backup_command,
    "restore": restore_command,
}
