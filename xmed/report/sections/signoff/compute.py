"""Section Sign-off: who decided on the model, and what the decision means."""

from __future__ import annotations

from typing import Any

from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources

Document = dict[str, Any]


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return signoff: the entries of SIGNOFF.json."""
    return {"signoff": sources.signoff}


SECTION = Section(
    title="Sign-off",
    order=210,
    how_to_read="A report is evidence, not a decision. People decide, by name.",
    provides=("signoff",),
    not_in_id=("signoff",),
    compute=compute,
)
