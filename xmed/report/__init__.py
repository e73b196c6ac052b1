"""Report: from an evaluated run to a page that a clinician can read, and to the document that the page shows."""

from xmed.report.build_report import identity_now, read_report, report_schema, write_report
from xmed.report.compose_report import numbers_digest
from xmed.report.sections.previous_version.compute import prior_of
from xmed.report.verdict import unsupported_today
from xmed.report.verify import verify_report

__all__ = [
    "identity_now",
    "numbers_digest",
    "prior_of",
    "read_report",
    "report_schema",
    "unsupported_today",
    "verify_report",
    "write_report",
]
