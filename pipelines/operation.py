"""Operation: the commands by which runs start by themselves, and by which one sees that all is still well."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pipelines.command import DONE, NO, Answer, command, whole_numbers
from pipelines.printable import one_line
from xmed.errors import XmedError

if TYPE_CHECKING:
    from pipelines.plan import Plan

PORT = 4200


def add(app: typer.Typer) -> None:
    """Make these the commands of `app`."""
    for function in (drift, schedule, serve, doctor):
        command(app)(function)


def schedule(
    study: Annotated[str | None, typer.Argument(help="A study's name or its YAML file; none: list.")] = None,
    cron: Annotated[str | None, typer.Option(help="When: minute hour day month weekday, such as '0 2 * * *'.")] = None,
    when_new: Annotated[
        bool, typer.Option("--when-new", help="When the target (a folder, a PACS query) has new data that is quiet.")
    ] = False,
    when_drift: Annotated[
        str | None, typer.Option(metavar="INPUT", help="When this dataset or folder has changed: `xmed drift` says so.")
    ] = None,
    quiet: Annotated[float, typer.Option(min=0.1, help="Minutes without a change before new data counts.")] = 10.0,
    timezone: Annotated[str | None, typer.Option(help="Of which place; this machine's by default.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds instead of the study's, such as 0,1,2.")] = None,
    source_root: Annotated[Path | None, typer.Option(help="Where the source's files lie.")] = None,
    target_root: Annotated[Path | None, typer.Option(help="Where the target's files lie.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget this study's schedules.")] = False,
) -> Answer:
    """Adapt a study again and again by itself: `xmed serve` starts its runs. Without a study: what is scheduled."""
    options = {"--cron": cron, "--when-new": when_new, "--when-drift": when_drift, "--remove": remove}
    given = [name for name, value in options.items() if value]
    if not study and not given:
        return _listed(None)
    if not study or len(given) != 1:
        what = f"{study or 'no study'} with {' and '.join(given) or 'no option'}"
        raise XmedError("USAGE", what, f"STUDY with one of {', '.join(options)}; or neither, to list")
    if remove:
        schedules = _schedules()
        return _listed(schedules.remove(study), "removed; what it made stays")
    from tzlocal import get_localzone_name

    from pipelines.plan import plan_study
    from xmed.run import home

    plan = plan_study(study, whole_numbers(seeds), source_root, target_root)
    watch = None if cron else _watched(plan, when_drift, quiet, target_root)
    schedules = _schedules()
    when = schedules.cron(cron, timezone or get_localzone_name() or "UTC") if cron else schedules.every(quiet)
    found = schedules.add(plan, when, home(), source_root, target_root, study, watch)
    return _listed([found], "`xmed serve`, or `xmed up`, starts its runs")


def _watched(plan: Plan, drifting: str | None, minutes: float, target_root: Path | None) -> dict[str, Any]:
    """What a scheduled look is for, once it is clear that something can come there. Raises XmedError as `state_of`."""
    from pipelines.plan import plan_dataset
    from pipelines.quiet import state_of

    if not drifting:
        state_of(plan.target, target_root)
    elif not Path(drifting).is_dir():
        state_of(plan_dataset(drifting))
    return {"when": "drift" if drifting else "new", "data": drifting, "minutes": minutes}


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the server's pages; 0: any that is free.")] = PORT,
) -> Answer:
    """Start scheduled runs, one at a time, until told to end; with a server where PREFECT_API_URL names none."""
    from pipelines.serving import serve as work
    from pipelines.surroundings import open_home
    from xmed.run import home

    open_home()

    def say(line: str) -> None:
        sys.stderr.write(one_line(line) + "\n")
        sys.stderr.flush()

    with contextlib.suppress(KeyboardInterrupt):
        work(home(), port, say)
    return Answer({"served": True}, lambda console: console.print("ended"))


def drift(
    model: Annotated[str, typer.Argument(help="models:/name@alias, models:/name/3 or a model folder.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A dataset's name or YAML file, or a folder with a file or folder per case."
        ),
    ],
    data_root: Annotated[Path | None, typer.Option(help="Where the files lie, instead of the spec's root.")] = None,
) -> Answer:
    """Is this new, unlabelled data what the model was validated on. Exit 1: an alarm."""
    if not (Path(data).is_dir() or data_root):
        from pipelines.plan import plan_dataset

        plan_dataset(data)  # before Prefect starts and anything is written
    from pipelines.surroundings import open_home

    open_home()
    from pipelines.monitor import drift as flow
    from pipelines.monitor import show_drift
    from xmed.monitor import read

    result = flow(model, data, data_root)
    found = read(Path(result["folder"]))
    code = NO if found["verdict"] == "alarm" else DONE
    return Answer({**result, **found}, lambda console: show_drift(console, found, result["report"]), code)


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Close what killed processes left behind.")] = False,
) -> Answer:
    """Is this installation sound: versions, device, disk, databases, and what killed processes left. Exit 1: no."""
    from pipelines.doctor import examine
    from pipelines.tables import show_checks
    from xmed.run import home

    checks = [asdict(check) for check in examine(home(), fix)]
    ok = all(check["ok"] for check in checks)
    return Answer({"ok": ok, "checks": checks}, lambda console: show_checks(console, checks), DONE if ok else NO)


def _schedules() -> ModuleType:
    """The room that knows Prefect, once it is clear that it will be needed, and which server to ask."""
    from pipelines.server import use_server
    from pipelines.surroundings import open_home
    from xmed.run import home

    open_home()
    use_server(home())
    from pipelines import schedules

    return schedules


def _listed(rows: list[dict[str, Any]] | None, said: str = "") -> Answer:
    from pipelines.tables import table

    found = _schedules().listed() if rows is None else rows
    columns = ("study", "schedule", "timezone", "active", "next", "last", "last_at", "last_said")

    def show(console: Console) -> None:
        console.print(table(found, columns) if found else "nothing is scheduled")
        if said:
            console.print(said, markup=False, highlight=False)

    return Answer(found if rows is None else found[0], show)
