"""Section Leakage: patients, studies, series and images that are in training or selection, and in the test as well."""

from __future__ import annotations

from typing import Any

from xmed.records.data_summary import DataSummary
from xmed.records.record import content
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources

Document = dict[str, Any]
OVERLAPS = ("patient_overlap", "study_overlap", "series_overlap", "pixel_overlap", "near_duplicates")
LEARNED = ("train", "select")
"""Partitions from which something is learned or chosen."""
SHARED_PATIENTS = "patients that stand in both datasets, in whatever partition"


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return nothing: the section shows `data.leakage`, which section Data takes from `leakage`."""
    return {}


def leakage(data: DataSummary) -> Document:
    """Return what ingest compared, with the patients compared once more, from the lists that the report shows.

    Args:
        data: data.json of the run.

    Returns:
        `data.leakage` of the document.
    """
    learned = {case.patient for case in (*data.source.cases, *data.target.cases) if case.split in LEARNED}
    tested = {case.patient for case in data.target.cases if case.split == "test"}
    by_ingest: Document = content(data.leakage)
    patients = sorted((learned & tested) | set(data.leakage.patient_overlap))
    overlaps = {key: by_ingest.get(key, []) for key in OVERLAPS} | {"patient_overlap": patients}
    checks = [
        {**check, "found": len(overlaps[check["id"]])} if check["found"] is not None else check
        for check in by_ingest.get("checks", [])
    ]
    shared = sorted({case.patient for case in data.source.cases} & {case.patient for case in data.target.cases})
    return {**overlaps, "checks": checks, "source_target": {"patients": shared, "text": SHARED_PATIENTS}}


def n_overlaps(leakage: Document) -> int:
    """Return how many overlaps are certain; near duplicates are for a person to look at and do not count."""
    return sum(len(leakage[key]) for key in OVERLAPS if key != "near_duplicates")


def why_not_compared(leakage: Document) -> str | None:
    """Return why patients were not compared at all; None where they were."""
    check = next((check for check in leakage["checks"] if check["id"] == "patient_overlap"), None)
    return check["reason"] if check and check["found"] is None else None


SECTION = Section(
    title="Leakage",
    order=40,
    is_subsection=True,
    how_to_read="Whatever stands both where something was learned or chosen and in the test makes the test worthless. "
    "Looked for by identity, by identifiers, by the voxels themselves and by likeness. Every line must "
    "say none; a line that could not be checked says why.",
    compute=compute,
)
