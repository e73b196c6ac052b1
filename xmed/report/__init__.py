"""Report: from an evaluated run to a page that a clinician can read, and to the document that the page shows."""

from xmed.report.build_report import build, identity_now, read, schema
from xmed.report.compose_report import numbers_digest
from xmed.report.sections.previous_version.compute import prior_of
from xmed.report.verdict import unsupported_today
from xmed.report.verify import verify

__all__ = ["build", "identity_now", "numbers_digest", "prior_of", "read", "schema", "unsupported_today", "verify"]
