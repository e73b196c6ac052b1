"""Section CLAIM 2024 checklist: what the run itself can vouch for, and what a person must write."""

from __future__ import annotations

from typing import Any

from xmed.report.cards.claim_checklist import claim, counts
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources

Document = dict[str, Any]


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return claim, an entry for each of the 44 items, and claim_counts, how many have each status."""
    items = claim(report)
    return {"claim": items, "claim_counts": counts(items)}


SECTION = Section(
    title="CLAIM 2024 checklist",
    order=170,
    how_to_read="What the pipeline can vouch for, and what a person must write. Not provided is a gap that is meant "
    "to be seen: a board-ready report has none.",
    provides=("claim", "claim_counts"),
    needs=(
        "criteria", "verdict", "headline", "summary", "data", "model", "selection", "training", "statistics",
        "robustness", "failures", "limitations", "methods",
    ),
    written_by_people=("claim", "claim_counts"),
    compute=compute,
)  # fmt: skip
