"""Build the report of a finished run again, and verify a report."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from xmed import evaluate, registry, report as reports
from xmed.errors import XmedError
from xmed.home import Home
from xmed.records.answers import ChecklistCounts, RebuiltReport, ReportCheck
from xmed.records.provenance import AuthorText, PriorVersion, ValidatedModel
from xmed.report.author_text import read_text
from xmed.run import Run
from xmed.spec import study_text_path

ALIASES = ("clinical-use", "clinical-evaluation", "candidate")
"""Which earlier version a new one is held against: the first of these that there is, else the newest."""
MOST_PROBLEMS = 20
"""Problems of a report that are printed; --json has all of them."""


def keep_prior_report(run: Run, home: Path) -> None:
    """Write prior.json where an earlier version of this model has a report among the runs of this home.

    Once written it stays, so that a report that is built again says the same.
    """
    if run.has(PriorVersion) or run.has(ValidatedModel):
        return
    earlier = [row for row in registry.versions(home) if row.name == run.study.register_as and row.run != run.id]
    order = {alias: n for n, alias in enumerate(ALIASES)}
    earlier.sort(
        key=lambda row: (min((order.get(a, len(order)) for a in row.aliases), default=len(order)), -row.version)
    )
    for row in earlier:
        path = Home(home).runs / str(row.run) / "report" / "report.json"
        if path.is_file():
            try:
                run.write(reports.prior_of(path, row.name, row.version))
            except XmedError:  # a report of an older xmed: not comparable, and no reason to stop
                continue
            return


def keep_author_text(run: Run, study: str | Path) -> None:
    """Keep the human answers that stand beside the study's file, `NAME.text.yaml`, unless the run has some already."""
    beside = None if run.has(AuthorText) else study_text_path(study)
    if beside is not None:
        run.write(read_text(beside))


def rebuild(name: str, home: Path, text: Path | None, ratings: Path | None) -> RebuiltReport:
    """Build a run's report again from its files and from what people add; versions that it registered follow.

    Args:
        name: The run: its id or folder.
        home: The home.
        text: A YAML file with answers that only people can give.
        ratings: The ratings that the contact sheet exported.

    Returns:
        The report that was built, and which registered versions follow it.

    Raises:
        XmedError: REPORT_SIGNED where a clinical version rests on the report and it would change; RUN_NOT_FOUND,
            SPEC_INVALID.
    """
    run = Run.find(name, home)
    registry.unsigned(run, home, adds_answers=bool(text or ratings))
    page = reports.write_report(run, text, ratings)
    report, versions = reports.read_report(run.report), registry.relink(run, home)
    return RebuiltReport(
        run=run.id,
        report=str(page),
        report_id=report.report_id,
        verdict=report.verdict,
        claim=ChecklistCounts.model_validate(report.claim_counts),
        versions=versions,
    )


def check_report(folder: Path, home: Path, deep: bool) -> ReportCheck:
    """Verify a report.

    Args:
        folder: A run's folder, a report's folder, or a copy of one.
        home: The home.
        deep: Whether to measure the predictions again against the stored references.

    Returns:
        Whether everything agrees, and what does not.
    """
    problems = reports.verify_report(folder)
    run = Run(folder.absolute() if (folder / "study.json").is_file() else folder.absolute().parent)
    if deep:
        if not run.has("rows"):
            raise XmedError(
                "RUN_NOT_FOUND", f"no run around {folder}", "the run's own folder, which has the predictions"
            )
        problems += evaluate.remeasure(run, home)
    return ReportCheck(ok=not problems, folder=str(folder), deep=deep, problems=problems)


def show_check(console: Console, check: ReportCheck) -> None:
    """Print whether a report agrees with its files, and where not.

    Args:
        console: Where to print.
        check: What `check_report` returned.
    """
    if check.ok:
        console.print("the report agrees with its files: every hash and every number was made again", highlight=False)
    for line in check.problems[:MOST_PROBLEMS]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(check.problems) > MOST_PROBLEMS:
        console.print(f"... and {len(check.problems) - MOST_PROBLEMS} more", highlight=False)


def show_rebuilt(console: Console, rebuilt: RebuiltReport) -> None:
    """Print the verdict, what people still have to write, and where the page is.

    Args:
        console: Where to print.
        rebuilt: What `rebuild` returned.
    """
    claim = rebuilt.claim
    console.print(f"verdict  {rebuilt.verdict}", highlight=False)
    console.print(f"CLAIM    {claim.filled} of 44 filled, {claim.human_required} wait for a person", highlight=False)
    for version in rebuilt.versions:
        follows = "follows, on record" if version.relinked else "stays with the report that it was registered with"
        console.print(f"version  {version.name} {version.version} {follows}", soft_wrap=True, highlight=False)
    console.print(f"report   {rebuilt.report}", soft_wrap=True, highlight=False)
