"""Report commands: the commands that build a report again, print it, and verify it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmed.cli.command import DONE, NO, Answer, command

app = typer.Typer(help="Build a validation report again, or verify one.", no_args_is_help=True)


@command(app)
def build(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")],
    text: Annotated[Path | None, typer.Option(help="A YAML of what only people can say; kept in the run.")] = None,
    ratings: Annotated[Path | None, typer.Option(help="What the contact sheet exported; kept in the run.")] = None,
) -> Answer:
    """Build a run's report again from its files."""
    from xmed.run import Run, home

    Run.find(run, home())  # before torch and MLflow are loaded
    from xmed.app.rebuild_report import rebuild, show_rebuilt

    document = rebuild(run, home(), text, ratings)
    return Answer(document, lambda console: show_rebuilt(console, document))


@command(app)
def pdf(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")],
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; report.pdf in the run's folder.")
    ] = None,
) -> Answer:
    """Print a run's report to A4 with an installed browser; needs the extra `pdf`."""
    from xmed.html.pdf import write_pdf
    from xmed.run import Run, home

    found = Run.find(run, home())
    path = write_pdf(found.report / "report.html", out or found.folder / "report.pdf")
    return Answer(
        {"run": found.id, "pdf": str(path)},
        lambda console: console.print(str(path), markup=False, highlight=False, soft_wrap=True),
    )


@command(app)
def verify(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run's folder, a report's, a copy, a published URL.")],
    deep: Annotated[bool, typer.Option("--deep", help="Measure the kept predictions again, too.")] = False,
) -> Answer:
    """Recompute every number and hash of a report; exit 1 on any mismatch."""
    from xmed.app.published_runs import folder_at
    from xmed.console.progress import report as show_progress
    from xmed.run import home, report_at

    place = folder_at(folder, home(), show_progress)
    report_at(place)  # a folder without a report is told before anything heavy is loaded
    from xmed.app.rebuild_report import check, show_check

    document = check(place, home(), deep)
    return Answer(document, lambda console: show_check(console, document), DONE if document["ok"] else NO)
