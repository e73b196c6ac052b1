"""Report: numbers → one page a clinician can read, and its machine-readable source."""

from xmed.report.build import build, schema, verify

__all__ = ["build", "schema", "verify"]
