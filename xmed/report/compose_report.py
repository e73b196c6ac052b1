"""Compose the report: from the files of a run to the one document from which page, cards and tables are drawn."""

from __future__ import annotations

from typing import Any

from xmed import __version__, metrics
from xmed.files.digest import digest
from xmed.files.json_numbers import without_nan
from xmed.records.evaluation import MetricConventions
from xmed.records.record import content
from xmed.records.validation_report import Report
from xmed.report.author_text import author_text
from xmed.report.edition import EDITION
from xmed.report.row_facts import FAILURE
from xmed.report.rows import Rows
from xmed.report.section_registry import Section, in_order_of_needs, sections
from xmed.report.sources import Sources

Document = dict[str, Any]
SCHEMA = "xmed-report/1"
AGGREGATION = (
    "cases → mean per patient → mean over seeds per patient → mean over patients. Intervals: two-sided 95 % over "
    "patients (t below 50 patients, BCa bootstrap from there on), cut where a metric ends; of medians by order "
    "statistics. The spread between seeds is given apart and never pooled with that between patients."
)
NOT_IN_ID = ("report_id", "run")
WRITTEN_BY_PEOPLE = ("text",)
"""Keys that no section owns, with the same meaning as the fields of `Section` of these names."""


def compose_report(sources: Sources) -> Document:
    """Compute the report from its sources alone.

    Args:
        sources: The files of an evaluated run, or of a report's folder that was copied from it.

    Returns:
        The document. Every key is present, whatever the results are. A number that cannot be had is null, never NaN.
    """
    rows = completed(sources)
    common = _common(sources)
    computed: Document = {}
    for section in in_order_of_needs():
        needed = {key: computed[key] for key in section.needs}
        computed |= _part_of(section, sources, rows, common | needed)
    report = without_nan({**common, **{key: computed[key] for section in sections() for key in section.provides}})
    return {"report_id": identity(report), **report}


def completed(sources: Sources) -> Rows:
    """Return the rows of every arm and test case: what evaluation wrote, and a failed row where one is missing."""
    credible = sources.metrics.spacing_credible
    return Rows.complete(sources.rows, sources.arms, sources.tested, sources.structures, credible, sources.edition)


def identity(report: Document) -> str:
    """Return the report's id: sha256 (hex) of the document without when and where it was made."""
    left_out = {*NOT_IN_ID, *(key for section in sections() for key in section.not_in_id)}
    return digest({key: value for key, value in report.items() if key not in left_out})


def numbers_digest(report: Report) -> str:
    """Compute the digest of a report's results, which stays the same whatever text and ratings people add.

    Args:
        report: The document.

    Returns:
        sha256 (hex) of the document without what people write, and without when and where it was made.
    """
    left_out = {*NOT_IN_ID, *WRITTEN_BY_PEOPLE}
    for section in sections():
        left_out |= {*section.not_in_id, *section.written_by_people}
    document: Document = content(report)
    return digest({key: value for key, value in document.items() if key not in left_out})


def _common(sources: Sources) -> Document:
    """What no section owns: the study, its protocol, and what people wrote, which several sections show."""
    return {
        "schema": SCHEMA,
        "edition": EDITION,
        "run": sources.run,
        "kind": "external" if sources.external else "adaptation",
        "sections": [section.anchor for section in sections()],
        "study": sources.study,
        "protocol": sources.protocol,
        "protocol_sha256": sources.protocol["sha256"],
        "metrics_conventions": content(_conventions(sources.metrics)),
        "text": author_text(sources.text) if sources.report is None else sources.report["text"],
        "external": sources.external or None,
    }


def _part_of(section: Section, sources: Sources, rows: Rows, report: Document) -> Document:
    """A section's keys of the document: computed, or taken from a copied report where its files do not suffice."""
    copy = sources.report or {}
    copied = {key: copy[key] for key in section.kept_from_copy if key in copy}
    complete = copied and set(copied) == set(section.provides)
    part = copied if complete else section.compute(sources, rows, report) | copied
    if set(part) != set(section.provides):
        raise TypeError(f"section {section.name} computed {sorted(part)}, and says that it provides {section.provides}")
    return part


def _conventions(measured: MetricConventions) -> MetricConventions:
    """Add to metrics.json what the report says of its numbers: how cases become the numbers of the table.

    Args:
        measured: metrics.json of the run.

    Returns:
        `metrics_conventions` of the document.
    """
    return MetricConventions.model_validate({
        **content(measured),
        "implementation": f"xmed.metrics {__version__}",
        "crosscheck": metrics.CROSSCHECK,
        "traps": metrics.TRAPS,
        "millimetres": None if measured.spacing_credible else metrics.NO_MM,
        "failure": FAILURE,
        "aggregation": AGGREGATION,
    })  # fmt: skip
