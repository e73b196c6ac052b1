"""Write report.json, the source of truth of a report, and every file that is drawn from it, with a manifest."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.digest import file_digest
from xmed.files.json_numbers import as_json
from xmed.report.casetable import cases_csv
from xmed.report.extras import MEASURED
from xmed.report.human import read_text
from xmed.report.numbers import completed, compose
from xmed.report.ratings import read_ratings
from xmed.report.report_page import extras, page
from xmed.report.sources import Sources
from xmed.run import SIGNOFF, Run

MANIFEST = "MANIFEST.sha256"


@documents.guarded("a file of the run", "DOCUMENT_INVALID", "files as an evaluated run has them")
def build(run: Run, text: Path | None = None, ratings: Path | None = None) -> Path:
    """Write report/ of an evaluated run: report.json, report.html, cases.csv, protocol.json, MANIFEST.sha256.

    Only files are read, so a report can be built again at any time. text: a YAML of what only people can say; ratings:
    what the contact sheet exported; both are kept in the run. Returns the page's path. Raises XmedError REPORT_MISMATCH
    when the document breaks the schema it promises, RUN_NOT_FOUND when the run has not been evaluated or is a
    comparison, SPEC_INVALID for a text or ratings of another shape, DOCUMENT_INVALID for a file of the run that is
    damaged.
    """
    sources = Sources.of(run)
    if text is not None:
        run.write("text", read_text(text))
    if ratings is not None:
        run.write("ratings", read_ratings(ratings, {case["case"] for case in sources.tested}))
    sources = Sources.of(run)
    report = compose(sources)
    problems = schema_problems(report)
    if problems:
        raise XmedError("REPORT_MISMATCH", "; ".join(problems[:5]), "a report as schema.json describes it")
    shutil.rmtree(run.report / MEASURED, ignore_errors=True)  # of cases that have none any more, too
    for name, content in artefacts(run, sources, report).items():
        write_atomically(run.report / name, content)
    write_atomically(run.report / MANIFEST, manifest(run.report))
    return run.report / "report.html"


def identity_now(run: Run) -> str:
    """The id that the report of a run would have if it were built now."""
    return str(compose(Sources.of(run))["report_id"])


def artefacts(run: Run, sources: Sources, report: dict[str, Any]) -> dict[str, str | bytes]:
    """Every file of the report by its name; report.json first."""
    return {
        "report.json": as_json(report, ensure_ascii=False),
        "cases.csv": cases_csv(completed(sources).rows, sources.edition),
        "protocol.json": as_json(sources.protocol, ensure_ascii=False),
        "report.html": page(run, report),
        **extras(run, report),
    }


def manifest(folder: Path) -> str:
    """sha256 of every file of a report's folder, as `sha256sum --check` reads it; sign-offs come later and stay out."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    kept = [name for name in names if name not in (MANIFEST, SIGNOFF) and not Path(name).name.startswith(".")]
    return "".join(f"{file_digest(folder / name)}  {name}\n" for name in kept)


def read(folder: Path) -> dict[str, Any]:
    """The document of a report's folder."""
    return documents.read_mapping(folder / "report.json")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of report.json."""
    return json.loads(files("xmed.report").joinpath("schema.json").read_text(encoding="utf-8"))


def schema_problems(report: dict[str, Any]) -> list[str]:
    """Where a document departs from the schema, one line each; empty when it does not."""
    found = Draft202012Validator(schema()).iter_errors(report)
    return [f"{'.'.join(map(str, e.absolute_path)) or 'report'}: {e.message[:200]}" for e in found]
