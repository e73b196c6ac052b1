"""Report extract: the parts of report.json that other rooms than the report's read. Its schema is the report's own."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, JsonValue

from xmed.records.record import Number, Record


class PrimaryQuestion(Record):
    """Metric and structure that a study is about."""

    metric: str
    structure: str


class ReportProtocol(Record):
    """What counts as success."""

    primary: PrimaryQuestion


class ReportStudy(Record):
    """The study of a report."""

    target: str = Field(description="dataset")
    protocol: ReportProtocol


class ReportMetricRow(Record):
    """Numbers of the adapted model for one structure of one case. Beside these keys stands each metric."""

    failed: bool | None = None


class ReportCase(Record):
    """One test case."""

    case: str
    patient: str
    status: str = Field(description="ok, missing, empty_prediction or error")
    metrics: dict[str, dict[str, JsonValue]] = Field(description="structure -> metric -> value")


class ReportExtract(Record):
    """report.json as the registry, validations and the command line read it."""

    FILE: ClassVar[str] = "report.json"
    report_id: str = Field(description="sha256 (hex) of what the report says")
    verdict: str = Field(description="pass, fail or inconclusive")
    protocol_sha256: str
    study: ReportStudy
    summary: dict[str, JsonValue] = Field(description="arm -> structure -> metric -> statistic")
    cases: list[ReportCase]
    claim_counts: dict[str, Number] = Field(default={}, description="items of CLAIM: filled, human_required, ...")
    exploratory: bool | None = None
