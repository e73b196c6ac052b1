"""What commands print about an installation: checks, schedules and servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.text import Text

from xmed.console.printable import Cell, plain_table, print_line

if TYPE_CHECKING:  # light commands print without building a record
    from xmed.records.answers import ScheduledStudy
    from xmed.records.server_stack import RunningStack

SCHEDULE_COLUMNS = ("study", "schedule", "timezone", "active", "next", "last", "last_at", "last_said")


class CheckResult(Protocol):
    """One thing that was checked, such as a `Check` of `xmed doctor`."""

    @property
    def name(self) -> str:
        """What was checked, such as `disk`."""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""

    @property
    def detail(self) -> str:
        """What was found; where it is not as it should be, also what to do."""


def show_schedules(console: Console, schedules: Sequence[ScheduledStudy]) -> None:
    """Print schedules with their next and last run.

    Args:
        console: Where to print.
        schedules: The schedules.
    """
    rows: list[dict[str, Cell]] = [{name: getattr(entry, name) for name in SCHEDULE_COLUMNS} for entry in schedules]
    console.print(plain_table(rows, SCHEDULE_COLUMNS) if rows else "nothing is scheduled")


def show_servers(console: Console, servers: RunningStack) -> None:
    """Print where the servers of `xmed up` answer, and who may log in.

    Args:
        console: Where to print.
        servers: The servers.
    """
    for name, server in (("prefect", servers.prefect), ("mlflow", servers.mlflow)):
        print_line(console, f"{name:9}{server.url}   user {server.user}, password in {server.password}")
    print_line(console, f"postgres {servers.postgres.address}   data in {servers.postgres.data}")
    print_line(console, f"logs     {servers.logs}")
    if servers.embedded:
        print_line(console, f"What was registered before stays in {servers.embedded}: MLFLOW_TRACKING_URI may name it")


def show_checks(console: Console, checks: Sequence[CheckResult]) -> None:
    """Print what `xmed doctor` checked, one line each.

    Args:
        console: Where to print.
        checks: What was checked.
    """
    for check in checks:
        mark = Text("ok   ", "green") if check.ok else Text("wrong", "red")
        console.print(mark, f"{check.name:<12}", end=" ")
        print_line(console, check.detail)
