"""Section Errors and warnings: what went wrong, or was corrected by a reader, by code."""

from __future__ import annotations

from collections import Counter
from typing import Any

from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources

Document = dict[str, Any]


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return errors, errors_by_code, and warnings: how many cases of both datasets have each reader's note."""
    cases = [*sources.data.source.cases, *sources.data.target.cases]
    notes = Counter(code for case in cases for code in {note.code for note in case.notes})
    return {
        "errors": sources.errors,
        "errors_by_code": dict(sorted(Counter(error["code"] for error in sources.errors).items())),
        "warnings": dict(sorted(notes.items())),
    }


SECTION = Section(
    title="Errors and warnings",
    order=190,
    how_to_read="Everything that went wrong or was put right on the way, by code.",
    provides=("errors", "errors_by_code", "warnings"),
    compute=compute,
)
