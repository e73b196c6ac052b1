"""Documents like report.json, with what a test says and nothing else."""

from xmed.records.validation_report import Report


def report_with(**parts) -> Report:
    """A report that has these keys; whatever else a report must have is empty."""
    return Report.model_validate(small_document(**parts))


def small_document(**parts):
    """The same as a plain document."""
    primary = {"metric": "dice", "structure": "prostate"}
    required = {
        "report_id": "0", "schema": "xmed-report/1", "study": {"protocol": {"primary": primary}}, "protocol_sha256": "0",
        "verdict": "pass", "summary": {}, "cases": [],
    }  # fmt: skip
    return {**required, **parts}
