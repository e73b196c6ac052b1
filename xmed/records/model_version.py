"""Model version: what the registry says of a version of a registered model, and of a decision on it."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import AnswerRecord, Record


class VersionTags(AnswerRecord):
    """Tags of a version: where it comes from, and checksums of the evidence for it.

    A clinical alias that was given or taken away leaves a further tag, such as `approved.clinical-use`.
    """

    run: str | None = Field(None, alias="xmed.run", description="run that made it")
    verdict: str | None = Field(None, description="of its report: pass, fail or inconclusive")
    not_promoted: str | None = Field(None, description="why it did not become the candidate")
    report_id: str | None = Field(None, description="sha256 (hex) of what the report says")
    report_sha256: str | None = Field(None, description="sha256 (hex) of report.json")
    findings_sha256: str | None = Field(None, description="sha256 (hex) of the report's numbers")
    protocol_sha256: str | None = Field(None, description="sha256 (hex) of the protocol")
    weights_sha256: str | None = Field(None, description="sha256 (hex) of weights.safetensors")
    model_sha256: str | None = Field(None, description="sha256 (hex) of the model folder")
    package_sha256: str | None = Field(None, description="sha256 (hex) of the registered package")
    sbom_sha256: str | None = Field(None, description="sha256 (hex) of the list of packages (CycloneDX)")
    environment_sha256: str | None = Field(None, description="sha256 (hex) of environment.json")
    monitor_sha256: str | None = Field(None, description="sha256 (hex) of monitor.json")
    source_fingerprint: str | None = Field(None, alias="data.source.fingerprint", description="of the source dataset")
    target_fingerprint: str | None = Field(None, alias="data.target.fingerprint", description="of the target dataset")
    study_run: str | None = Field(None, description="MLflow run of the study")
    parent_version: str | None = Field(None, description="version that it would replace")


class ListedVersion(VersionTags):
    """One version in the list of all versions; its tags stand beside these fields."""

    name: str = Field(description="registered model")
    version: int
    aliases: list[str] = Field(description="aliases that it holds")
    created: int = Field(description="milliseconds since 1970-01-01, UTC")


class RelinkedVersion(Record):
    """What became of a version when the report that it rests on was built again."""

    name: str = Field(description="registered model")
    version: int
    relinked: bool = Field(description="whether it follows the report: only people's text or ratings are new in it")
    record: str | None = Field(description="sha256 (hex) of the audit record; null where it does not follow")


class RefusalReason(Record):
    """One reason why a version does not get a clinical alias."""

    code: str = Field(description="a word for it")
    text: str = Field(description="a sentence that names no case and no patient")
    detail: list[str] = Field(description="lines for the person who asks; they may name cases")


class VersionDecision(AnswerRecord):
    """The answer to a person's decision about a version, or to the question what would be refused."""

    name: str = Field(description="registered model")
    version: int
    alias: str = Field(description="clinical alias that was asked for")
    by: str = Field(description="the person who decides; empty where nobody was asked")
    approved: bool = Field(description="whether the version holds the alias, and nothing speaks against it")
    already: bool = Field(False, description="whether it held the alias before")
    declined: bool = Field(False, description="whether the person declined it")
    refused: list[RefusalReason] = Field(description="what speaks against it")
    record: str | None = Field(None, description="sha256 (hex) of the audit record")


class Withdrawal(AnswerRecord):
    """The answer to a withdrawal."""

    name: str = Field(description="registered model")
    version: int
    by: str = Field(description="the person who answers for it")
    withdrawn: list[str] = Field(description="aliases that were taken away")
