"""Build the report of a finished run again, and verify a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from xmed import evaluate, registry
from xmed import report as reports
from xmed.errors import XmedError
from xmed.records.provenance import AuthorText, PriorVersion, ValidatedModel
from xmed.report.author_text import read_text
from xmed.run import Run
from xmed.spec import study_text_path

ALIASES = ("clinical-use", "clinical-evaluation", "candidate")
"""Which earlier version a new one is held against: the first of these that there is, else the newest."""
SHOWN = 20


def remember_prior(run: Run, home: Path) -> None:
    """Write prior.json where an earlier version of this model has a report among the runs of this home.

    Once written it stays, so that a report that is built again says the same.
    """
    if run.has(PriorVersion) or run.has(ValidatedModel):
        return
    known = [
        row for row in registry.versions(home) if row["name"] == run.study.register_as and row.get("xmed.run") != run.id
    ]
    order = {alias: n for n, alias in enumerate(ALIASES)}
    known.sort(
        key=lambda row: (min((order.get(a, len(order)) for a in row["aliases"]), default=len(order)), -row["version"])
    )
    for row in known:
        path = home / "runs" / str(row.get("xmed.run")) / "report" / "report.json"
        if path.is_file():
            try:
                run.write(reports.prior_of(path, row["name"], row["version"]))
            except XmedError:  # a report of an older xmed: not comparable, and no reason to stop
                continue
            return


def note_text(run: Run, study: str) -> None:
    """Keep the human answers that stand beside the study's file, `NAME.text.yaml`, unless the run has some already."""
    beside = None if run.has(AuthorText) else study_text_path(study)
    if beside is not None:
        run.write(read_text(beside))


def rebuild(name: str, home: Path, text: Path | None, ratings: Path | None) -> dict[str, Any]:
    """Build a run's report again from its files and from what people add; versions that it registered follow.

    Args:
        name: The run: its id or folder.
        home: The home.
        text: A YAML file with answers that only people can give.
        ratings: The ratings that the contact sheet exported.

    Returns:
        run, report (path), report_id, verdict, claim (counts of the CLAIM checklist), versions (that follow).

    Raises:
        XmedError: REPORT_SIGNED where a clinical version rests on the report and it would change; RUN_NOT_FOUND,
            SPEC_INVALID.
    """
    run = Run.find(name, home)
    registry.unsigned(run, home, told=bool(text or ratings))
    page = reports.write_report(run, text, ratings)
    report, versions = reports.read_report(run.report), registry.relink(run, home)
    return {
        "run": run.id,
        "report": str(page),
        "report_id": report.report_id,
        "verdict": report.verdict,
        "claim": report.claim_counts,
        "versions": versions,
    }


def check(folder: Path, home: Path, deep: bool) -> dict[str, Any]:
    """Verify a report.

    Args:
        folder: A run's folder, a report's folder, or a copy of one.
        home: The home.
        deep: Whether to measure the predictions again against the stored references.

    Returns:
        ok, folder, deep, problems (one sentence each).
    """
    problems = reports.verify_report(folder)
    run = Run(folder.absolute() if (folder / "study.json").is_file() else folder.absolute().parent)
    if deep:
        if not run.has("rows"):
            raise XmedError(
                "RUN_NOT_FOUND", f"no run around {folder}", "the run's own folder, which has the predictions"
            )
        problems += evaluate.remeasure(run, home)
    return {"ok": not problems, "folder": str(folder), "deep": deep, "problems": problems}


def show_check(console: Console, found: dict[str, Any]) -> None:
    """Print whether a report agrees with its files, and where not."""
    if found["ok"]:
        console.print("the report agrees with its files: every hash and every number was made again", highlight=False)
    for line in found["problems"][:SHOWN]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(found["problems"]) > SHOWN:
        console.print(f"... and {len(found['problems']) - SHOWN} more", highlight=False)


def show_rebuilt(console: Console, found: dict[str, Any]) -> None:
    """Print the verdict, what people still have to write, and where the page is."""
    missing = found["claim"]["human_required"]
    console.print(f"verdict  {found['verdict']}", highlight=False)
    console.print(f"CLAIM    {found['claim']['filled']} of 44 filled, {missing} wait for a person", highlight=False)
    for one in found["versions"]:
        follows = "follows, on record" if one["relinked"] else "stays with the report that it was registered with"
        console.print(f"version  {one['name']} {one['version']} {follows}", soft_wrap=True, highlight=False)
    console.print(f"report   {found['report']}", soft_wrap=True, highlight=False)
