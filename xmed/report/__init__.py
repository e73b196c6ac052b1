"""Report: the validation report of a run: report.json, the page drawn from it, and its verification."""

from xmed.report.build_report import build, identity_now, read, schema
from xmed.report.numbers import findings
from xmed.report.previous import prior_of
from xmed.report.support import unsupported_today
from xmed.report.verify import verify

__all__ = ["build", "findings", "identity_now", "prior_of", "read", "schema", "unsupported_today", "verify"]
