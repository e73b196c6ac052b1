"""Commands that build a report again, print it, and verify it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmed.cli.command import DONE, NO, Answer
from xmed.cli.options import RunId
from xmed.console.printable import print_line

HELP = "Build a validation report again, print it, or verify it."


def report_build_command(
    run: RunId,
    text: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file with the answers that only people can give; kept in the run.", show_default=False
        ),
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(help="The ratings that the contact sheet exported; kept in the run.", show_default=False),
    ] = None,
) -> Answer:
    """Build a run's report again from the run's files.

    Example: xmed report build RUN --text study.text.yaml
    """
    from xmed.run import Run, home

    Run.find(run, home())  # refuses wrong input before torch and MLflow are loaded
    from xmed.app.rebuild_report import rebuild, show_rebuilt

    rebuilt = rebuild(run, home(), text, ratings)
    return Answer(rebuilt, lambda console: show_rebuilt(console, rebuilt))


def report_pdf_command(
    run: RunId,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write. Default: report.pdf in the run's folder.", show_default=False
        ),
    ] = None,
) -> Answer:
    """Print a run's report to A4 with an installed browser; needs `pip install 'xmed[pdf]'`.

    Example: xmed report pdf RUN -o report.pdf
    """
    from xmed.html.pdf import write_pdf
    from xmed.run import Run, home

    built = Run.find(run, home())
    path = write_pdf(built.report / "report.html", out or built.folder / "report.pdf")
    return Answer({"run": built.id, "pdf": str(path)}, lambda console: print_line(console, str(path)))


def report_verify_command(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="A run's folder, a report's folder, a copy of one, or a published URL.")
    ],
    deep: Annotated[
        bool, typer.Option("--deep", help="Also measure the stored predictions again; needs the run's folder.")
    ] = False,
) -> Answer:
    """Compute every number and checksum of a report again. Exit code 1: one differs.

    Example: xmed report verify .xmed/runs/RUN
    """
    from xmed.app.published_runs import folder_at
    from xmed.console.progress_display import report
    from xmed.run import home, report_at

    place = folder_at(folder, home(), report)
    report_at(place)  # refuses a folder without a report before anything heavy is loaded
    from xmed.app.rebuild_report import check_report, show_check

    check = check_report(place, home(), deep)
    return Answer(check, lambda console: show_check(console, check), DONE if check.ok else NO)


COMMANDS = {"build": report_build_command, "pdf": report_pdf_command, "verify": report_verify_command}
