"""Commands that adapt a study, now or on a schedule, and compare methods."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from xmed.cli import flows
from xmed.cli.command import DONE, NO, Answer, parse_seeds
from xmed.cli.options import Cluster, ResumedRun, Seeds, SourceRoot, StudyFile, TargetRoot
from xmed.console.printable import escape_line, print_line
from xmed.errors import XmedError

if TYPE_CHECKING:
    from xmed.app.arrival_watch import WatchParameters
    from xmed.app.plan import Plan
    from xmed.records.answers import ScheduledStudy

DEMO_STUDY = "phantom-mr-to-us"
DEFAULT_PORT = 4200


def demo_command(seeds: Seeds = None, resume: ResumedRun = None) -> Answer:
    """Do the whole job on simulated data: MR to ultrasound, from DICOM files to a registered candidate and a report.

    Takes minutes on a CPU. Example: xmed demo
    """
    return _adapt(DEMO_STUDY, seeds, None, None, resume)


def run_command(
    study: StudyFile,
    seeds: Seeds = None,
    source_root: SourceRoot = None,
    target_root: TargetRoot = None,
    resume: ResumedRun = None,
) -> Answer:
    """Run a study: ingest, train, adapt, select, validate, report, register the candidate.

    Exit code 1: the verdict is `fail`. Example: xmed run my-study --seeds 0,1,2
    """
    return _adapt(study, seeds, source_root, target_root, resume)


def compare_command(
    study: StudyFile,
    methods: Annotated[
        str | None,
        typer.Option(help="Methods with commas between, such as bridge,gin,coral; or all.", show_default=False),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="How many seeds (3 means 0,1,2), or which (0,4). Default: the study's own.", show_default=False
        ),
    ] = None,
    source_root: SourceRoot = None,
    target_root: TargetRoot = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Continue this comparison (id or folder); finished trainings are kept.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Trainings at the same time, on a CPU. Default: as many as cores.", show_default=False
        ),
    ] = None,
    cluster: Cluster = None,
) -> Answer:
    """Run a study with several methods and rank them: a table, a page, and comparison.json.

    Example: xmed compare my-study --methods bridge,gin,coral --seeds 3
    """
    from xmed.app.plan import plan_comparison

    names = [name.strip() for name in methods.split(",") if name.strip()] if methods else None
    is_count = bool(seeds) and str(seeds).isdecimal() and int(str(seeds)) > 0
    numbers = list(range(int(str(seeds)))) if is_count else parse_seeds(seeds)
    arguments = study, names, numbers, source_root, target_root, resume
    plan_comparison(*arguments)  # refuses wrong input before Prefect starts and anything is written
    compare_flow = flows.load_compare_flow(cluster)
    from xmed.console.tables import show_comparison
    from xmed.records.method_comparison import MethodComparison
    from xmed.records.record import content, read_record

    result = compare_flow(*arguments, jobs, cluster)
    comparison = read_record(MethodComparison, Path(result.folder) / MethodComparison.FILE)
    document = {**content(result), **content(comparison)}
    return Answer(document, lambda console: show_comparison(console, result, comparison))


def methods_command() -> Answer:
    """List the adaptation methods and the baselines, one line each, with the paper they come from."""
    from xmed.console.method_table import method_rows, show_methods

    rows = method_rows()
    return Answer(rows, lambda console: show_methods(console, rows))


def schedule_command(
    study: Annotated[
        str | None,
        typer.Argument(help="A study: its name or YAML file. Without it: list the schedules.", show_default=False),
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(
            help="Run at these times: minute hour day month weekday, such as '0 2 * * *' for two every night.",
            show_default=False,
        ),
    ] = None,
    when_new: Annotated[
        bool, typer.Option("--when-new", help="Run when the target (a folder or PACS query) has new cases.")
    ] = False,
    when_drift: Annotated[
        str | None,
        typer.Option(
            metavar="INPUT",
            help="Run when `xmed drift` raises an alarm for this dataset or folder.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[
        float, typer.Option(min=0.1, help="With --when-…: minutes without a change before new data counts.")
    ] = 10.0,
    timezone: Annotated[
        str | None,
        typer.Option(help="Time zone of --cron, such as Europe/Vienna. Default: this machine's.", show_default=False),
    ] = None,
    seeds: Seeds = None,
    source_root: SourceRoot = None,
    target_root: TargetRoot = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove this study's schedules.")] = False,
) -> Answer:
    """Run a study again and again; `xmed serve` or `xmed up` starts its runs. Without a study: list the schedules.

    Example: xmed schedule my-study --cron "0 2 * * *"
    """
    options = {"--cron": cron, "--when-new": when_new, "--when-drift": when_drift, "--remove": remove}
    chosen = [name for name, value in options.items() if value]
    if not study and not chosen:
        return _schedules(flows.load_schedules().list_schedules())
    if not study or len(chosen) != 1:
        what = f"{study or 'no study'} with {' and '.join(chosen) or 'no option'}"
        raise XmedError("USAGE", what, f"STUDY with one of {', '.join(options)}; or neither, to list")
    if remove:
        rows = flows.load_schedules().remove_schedules(study)
        return _schedules(rows, rows[0], "removed; what it made stays")
    from xmed.app.arrival_watch import watch_parameters
    from xmed.app.plan import plan_study

    plan = plan_study(study, parse_seeds(seeds), source_root, target_root)
    watch = None if cron else watch_parameters(plan.target, when_drift, quiet, target_root)
    return _add_schedule(plan, cron, timezone, watch, (source_root, target_root), study)


def serve_command(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of Prefect's pages on 127.0.0.1; 0 takes any free one.")
    ] = DEFAULT_PORT,
) -> Answer:
    """Start scheduled runs, one at a time, until Ctrl-C; brings a Prefect server unless PREFECT_API_URL names one.

    Example: xmed serve
    """
    from xmed.run import home
    from xmed.server.process_environment import open_home
    from xmed.server.serve import serve_home

    open_home()

    def log_line(line: str) -> None:
        sys.stderr.write(escape_line(line) + "\n")
        sys.stderr.flush()

    with contextlib.suppress(KeyboardInterrupt):
        serve_home(home(), port, log_line)
    return Answer({"served": True}, lambda console: console.print("ended"))


def _adapt(
    study: str, seeds: str | None, source_root: Path | None, target_root: Path | None, resume: str | None
) -> Answer:
    from xmed.app.plan import plan_study

    numbers = parse_seeds(seeds)
    plan_study(study, numbers, source_root, target_root, resume)  # refuses wrong input before anything is written
    adapt_flow = flows.load_adapt_flow()
    from xmed.console.tables import show_result
    from xmed.report import read_report

    result = adapt_flow(study, numbers, source_root, target_root, resume, study)
    report = read_report(Path(result.folder) / "report")
    answer = result.model_copy(update={"verdict": report.verdict, "summary": report.summary})
    code = NO if report.verdict == "fail" else DONE
    return Answer(answer, lambda console: show_result(console, result, report), code)


def _add_schedule(
    plan: Plan,
    cron: str | None,
    timezone: str | None,
    watch: WatchParameters | None,
    roots: tuple[Path | None, Path | None],
    file: str,
) -> Answer:
    """Schedule a study by the clock (`cron`), or to look for new data (`watch`)."""
    from tzlocal import get_localzone_name

    from xmed.run import home

    schedules = flows.load_schedules()
    if watch is None:
        when = schedules.cron_schedule(cron, timezone or get_localzone_name() or "UTC")
    else:
        when = schedules.interval_schedule(watch.minutes)
    row = schedules.schedule_study(plan, when, home(), *roots, file, watch)
    return _schedules([row], row, "`xmed serve`, or `xmed up`, starts its runs")


def _schedules(schedules: list[ScheduledStudy], only: ScheduledStudy | None = None, sentence: str = "") -> Answer:
    """The answer that shows schedules as a table; `only`: what --json prints in place of the list."""
    from xmed.console.server_tables import show_schedules

    def show(console: Console) -> None:
        show_schedules(console, schedules)
        if sentence:
            print_line(console, sentence)

    return Answer(schedules if only is None else only, show)


COMMANDS = {
    "demo": demo_command,
    "run": run_command,
    "compare": compare_command,
    "methods": methods_command,
    "schedule": schedule_command,
    "serve": serve_command,
}
