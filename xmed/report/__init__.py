"""Report: numbers → one page a clinician can read, and its machine-readable source."""

from xmed.report.build import build, read, schema
from xmed.report.previous import prior_of
from xmed.report.verify import verify

__all__ = ["build", "prior_of", "read", "schema", "verify"]
