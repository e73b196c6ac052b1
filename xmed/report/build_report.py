"""Build a report: report.json, the source of truth, every file that is drawn from it, and a manifest of them."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from pydantic import JsonValue

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.digest import file_digest
from xmed.files.json_numbers import as_json
from xmed.records.record import read_record
from xmed.records.validation_report import Report
from xmed.report.author_text import read_text
from xmed.report.cards.chai import chai_card
from xmed.report.cards.huggingface import huggingface_card
from xmed.report.cases_csv import cases_csv
from xmed.report.compose_report import completed, compose_report
from xmed.report.ratings import read_ratings
from xmed.report.report_page import report_html
from xmed.report.section_registry import Files, sections
from xmed.report.sections.reproducibility.compute import MEASUREMENT_REPORTS
from xmed.report.sources import Sources
from xmed.run import SIGNOFF, Run

Document = dict[str, Any]
MANIFEST = "MANIFEST.sha256"


@documents.guarded("a file of the run", "DOCUMENT_INVALID", "files as an evaluated run has them")
def write_report(run: Run, text: Path | None = None, ratings: Path | None = None) -> Path:
    """Write the report of an evaluated run: report.json, report.html, tables, cards and a manifest.

    Only files are read, so a report can be built again at any time.

    Args:
        run: The run; the report is written into its folder `report/`.
        text: A YAML file of what only people can say; kept in the run.
        ratings: What the contact sheet exported; kept in the run.

    Returns:
        The path of report.html.

    Raises:
        XmedError: RUN_NOT_FOUND when the run has not been evaluated or is a comparison; SPEC_INVALID for a text or
            ratings of another shape; DOCUMENT_INVALID for a file of the run that is damaged; REPORT_MISMATCH when the
            document breaks the schema that it promises.
    """
    sources = Sources.of(run)
    if text is not None:
        run.write(read_text(text))
    if ratings is not None:
        run.write("ratings", read_ratings(ratings, {case.case for case in sources.tested}))
    sources = Sources.of(run)
    report = compose_report(sources)
    problems = schema_problems(report)
    if problems:
        raise XmedError("REPORT_MISMATCH", "; ".join(problems[:5]), "a report as schema.json describes it")
    shutil.rmtree(run.report / MEASUREMENT_REPORTS, ignore_errors=True)  # of cases that have none any more, too
    for name, content in artefacts(run, sources, report).items():
        write_atomically(run.report / name, content)
    write_atomically(run.report / MANIFEST, manifest(run.report))
    return run.report / "report.html"


def identity_now(run: Run) -> str:
    """Compute the id that the report of a run would have if it were built now.

    Args:
        run: The evaluated run.

    Returns:
        sha256 (hex), as `report_id` of the document.
    """
    return str(compose_report(Sources.of(run))["report_id"])


def artefacts(run: Run, sources: Sources, report: Document) -> Files:
    """Return every file of the report by its name; report.json first."""
    return {
        "report.json": as_json(report, ensure_ascii=False),
        "cases.csv": cases_csv(completed(sources).rows, sources.edition),
        "protocol.json": as_json(sources.protocol, ensure_ascii=False),
        "report.html": report_html(run, report),
        **extras(run, report),
    }


def extras(run: Run, report: Document) -> Files:
    """Return the files beside report.html by their name: both cards, and what the sections add.

    They are not needed to read the report. The same files of a run give the same bytes.
    """
    files: Files = {"chai_model_card.xml": chai_card(report), "README.md": huggingface_card(report)}
    for section in sections():
        files |= section.extra_files(run, report)
    return files


def manifest(folder: Path) -> str:
    """Return the sha256 of every file of a report's folder, as `sha256sum --check` reads it.

    Sign-offs are written later and are not part of it.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    listed = [name for name in names if name not in (MANIFEST, SIGNOFF) and not Path(name).name.startswith(".")]
    return "".join(f"{file_digest(folder / name)}  {name}\n" for name in listed)


def read_report(folder: Path) -> Report:
    """Read the document of a report's folder.

    Args:
        folder: The folder that holds report.json.

    Returns:
        The document.

    Raises:
        XmedError: DOCUMENT_INVALID for a file that is damaged or no report; PATH_NOT_FOUND where it is missing.
    """
    return read_record(Report, folder / "report.json")


def report_schema() -> dict[str, JsonValue]:
    """Assemble the JSON Schema of report.json.

    Returns:
        The schema (2020-12) of the common keys, and of every section's keys.
    """
    document: Document = json.loads(files("xmed.report").joinpath("schema.json").read_text(encoding="utf-8"))
    for section in sections():
        part = section.schema
        document["required"] += part.get("required", [])
        document["properties"] |= part.get("properties", {})
    return document


def schema_problems(report: Document) -> list[str]:
    """Return where a document departs from the schema, one line each; empty when it does not."""
    problems = Draft202012Validator(report_schema()).iter_errors(report)
    return [f"{'.'.join(map(str, e.absolute_path)) or 'report'}: {e.message[:200]}" for e in problems]
