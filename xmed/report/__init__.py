"""Report: from an evaluated run to report of that a run: report.json, the page drawn from it, and the document that it is drawn from."""

from xmed.report.build_report import build, identity_now, read, schema
from xmed.report.compose_report import numbers_digest
from xmed.report.sections.previous_version.compute import prior_of
from xmed.report.verdict import unsupported_today
from xmed.report.verify import verify

__all__ = ["build", "identity_now", "numbers_digest", "prior_of", "read", "schema", "unsupported_today", "verify"]
