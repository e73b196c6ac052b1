"""Section Reference standard: against what the model was judged."""

from __future__ import annotations

from typing import Any

from xmed.report.row_facts import absent
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources

Document = dict[str, Any]
WRITTEN = ("reference_standard", "reference_rationale", "annotators", "test_annotation", "rater_variability")
"""Keys of the author's text that this section shows."""
ONE_RATER = "one reference label per case"


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return reference_standard: what people wrote of it, and who has which structure.

    There is one reference per case, so agreement between and within raters is null with a reason.
    """
    patient = {case.case: case.patient for case in sources.tested}
    lacking = {
        structure: {row.case for row in rows.rows if row.structure == structure and absent(row)}
        for structure in sources.structures
    }
    unknown = {"value": None, "ci": None, "reason": ONE_RATER}
    ceiling = report["summary"]["target_supervised"]
    standard = {
        "human": {key: report["text"]["items"][key] for key in WRITTEN},
        "labelled_test_cases": len(sources.tested),
        "empty_references": {structure: len(cases) for structure, cases in lacking.items()},
        "patients_with": {
            structure: len({patient[case] for case in patient if case not in cases})
            for structure, cases in lacking.items()
        },
        "patients": len(set(patient.values())),
        "inter_rater": unknown,
        "intra_rater": unknown,
        "ceiling": {
            "kind": "a net trained with the target's own labels",
            "structures": {s: ceiling.get(s, {}).get("dice", {}).get("mean") for s in sources.structures},
        },
    }
    return {"reference_standard": standard}


SECTION = Section(
    title="Reference standard",
    order=50,
    anchor="reference",
    how_to_read="Against what the model was judged. No method can be shown to be better than the people it is "
    "compared with agree among themselves: without a second rater, that ceiling is unknown.",
    provides=("reference_standard",),
    needs=("summary",),
    written_by_people=("reference_standard",),
    compute=compute,
)
