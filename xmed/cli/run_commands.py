"""Run: the commands that adapt a study, now or on a schedule, and compare methods."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from xmed.cli import flows
from xmed.cli.command import DONE, NO, Answer, command, whole_numbers
from xmed.cli.flows import Cluster
from xmed.console.printable import one_line
from xmed.errors import XmedError
from xmed.files import documents

DEMO = "phantom-mr-to-us"

PORT = 4200

Seeds = Annotated[str | None, typer.Option(help="Seeds instead of the study's, such as 0,1,2.")]

SourceRoot = Annotated[Path | None, typer.Option(help="Where the source's files lie, instead of its root.")]

TargetRoot = Annotated[Path | None, typer.Option(help="Where the target's files lie, instead of its root.")]

if TYPE_CHECKING:
    from xmed.app.plan import Plan


def add(app: typer.Typer) -> None:
    """Make these the commands of `app`."""
    for function in (demo, run, compare, methods, schedule, serve):
        command(app)(function)


def demo(seeds: Seeds = None, resume: Annotated[str | None, typer.Option(help="Continue this run.")] = None) -> Answer:
    """The whole main job on the built-in phantom: MR to ultrasound, from DICOM files to a registered candidate."""
    return _adapt(DEMO, seeds, None, None, resume)


def run(
    study: Annotated[str, typer.Argument(help="A study's name or its YAML file.")],
    seeds: Seeds = None,
    source_root: SourceRoot = None,
    target_root: TargetRoot = None,
    resume: Annotated[str | None, typer.Option(help="Continue this run; what is finished is kept.")] = None,
) -> Answer:
    """The main job for a study: ingest, train, adapt, select, validate, report, register the candidate."""
    return _adapt(study, seeds, source_root, target_root, resume)


def compare(
    study: Annotated[str, typer.Argument(help="A study's name or its YAML file.")],
    methods: Annotated[str | None, typer.Option(help="Such as bridge,gin,coral; or all.")] = None,
    seeds: Annotated[str | None, typer.Option(help="How many seeds (3 is 0,1,2), or which (0,4).")] = None,
    source_root: SourceRoot = None,
    target_root: TargetRoot = None,
    resume: Annotated[str | None, typer.Option(help="Continue this comparison; finished cells are kept.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Trainings at once, on a CPU; as many as cores.")] = None,
    cluster: Cluster = None,
) -> Answer:
    """The same study under several methods: the table, the ranking with its uncertainty, a page, comparison.json."""
    from xmed.app.plan import plan_comparison

    chosen = [name.strip() for name in methods.split(",") if name.strip()] if methods else None
    numbers = list(range(int(seeds))) if seeds and seeds.isdecimal() and int(seeds) > 0 else whole_numbers(seeds)
    asked = study, chosen, numbers, source_root, target_root, resume
    plan_comparison(*asked)  # before Prefect starts and anything is written
    flows.load(cluster)
    from xmed_pipelines.compare_flow import compare as flow

    from xmed.console.tables import show_comparison

    result = flow(*asked, jobs, cluster)
    document = documents.read_mapping(Path(result["folder"]) / "comparison.json")
    return Answer({**result, **document}, lambda console: show_comparison(console, result, document))


def methods() -> Answer:
    """Every adaptation method, and the baselines that stand beside each, with citations."""
    from xmed import methods as room
    from xmed.console.tables import show_methods

    facts = {name: room.facts(name) for name in room.names()}
    rows = [{"kind": "method", "name": n, "does": f.does, "cite": f.cite} for n, f in facts.items()]
    rows += [
        {"kind": "made of others", "name": n, "does": c.does, "cite": c.cite} for n, c in room.COMPOSITIONS.items()
    ]
    rows += [{"kind": "in every table", "name": n, "does": d, "cite": c} for n, (d, c) in room.BASELINES.items()]
    return Answer(rows, lambda console: show_methods(console, rows))


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
        return _listed(_schedules().remove(study), "removed; what it made stays")
    from tzlocal import get_localzone_name

    from xmed.app.plan import plan_study
    from xmed.run import home

    plan = plan_study(study, whole_numbers(seeds), source_root, target_root)
    watch = None if cron else _watched(plan, when_drift, quiet, target_root)
    deployments = _schedules()
    when = deployments.cron(cron, timezone or get_localzone_name() or "UTC") if cron else deployments.every(quiet)
    found = deployments.add(plan, when, home(), source_root, target_root, study, watch)
    return _listed([found], "`xmed serve`, or `xmed up`, starts its runs")


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the server's pages; 0: any that is free.")] = PORT,
) -> Answer:
    """Start scheduled runs, one at a time, until told to end; with a server where PREFECT_API_URL names none."""
    from xmed.run import home
    from xmed.server.process_environment import open_home
    from xmed.server.serve import serve as work

    open_home()

    def say(line: str) -> None:
        sys.stderr.write(one_line(line) + "\n")
        sys.stderr.flush()

    with contextlib.suppress(KeyboardInterrupt):
        work(home(), port, say)
    return Answer({"served": True}, lambda console: console.print("ended"))


def _adapt(
    study: str, seeds: str | None, source_root: Path | None, target_root: Path | None, resume: str | None
) -> Answer:
    from xmed.app.plan import plan_study

    numbers = whole_numbers(seeds)
    plan_study(study, numbers, source_root, target_root, resume)  # before Prefect starts and anything is written
    adaptation = flows.load()
    from xmed.console.tables import show_result

    result = adaptation.adapt(study, numbers, source_root, target_root, resume, study)
    report = documents.read_mapping(Path(result["folder"]) / "report" / "report.json")
    document = {**result, "verdict": report["verdict"], "summary": report["summary"]}
    code = NO if report["verdict"] == "fail" else DONE
    return Answer(document, lambda console: show_result(console, result, report), code)


def _watched(plan: Plan, drifting: str | None, minutes: float, target_root: Path | None) -> dict[str, Any]:
    """What a scheduled look is for, once it is clear that something can come there. Raises XmedError as `state_of`."""
    from xmed.app.arrival_watch import state_of
    from xmed.app.plan import plan_dataset

    if not drifting:
        state_of(plan.target, target_root)
    elif not Path(drifting).is_dir():
        state_of(plan_dataset(drifting))
    return {"when": "drift" if drifting else "new", "data": drifting, "minutes": minutes}


def _schedules() -> ModuleType:
    """The room that knows Prefect, once it is clear that it will be needed, and which server to ask."""
    from xmed.run import home
    from xmed.server.prefect_server import use_server
    from xmed.server.process_environment import open_home

    open_home()
    use_server(home())

    from xmed_pipelines import deployments

    return deployments


def _listed(rows: list[dict[str, Any]] | None, said: str = "") -> Answer:
    from xmed.console.tables import table

    found = _schedules().listed() if rows is None else rows
    columns = ("study", "schedule", "timezone", "active", "next", "last", "last_at", "last_said")

    def show(console: Console) -> None:
        console.print(table(found, columns) if found else "nothing is scheduled")
        if said:
            console.print(said, markup=False, highlight=False)

    return Answer(found if rows is None else found[0], show)
