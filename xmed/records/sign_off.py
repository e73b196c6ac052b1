"""Sign-off: what people decided about a model, and the audit log's records."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from xmed.records.record import ListRecord, Record


class SignOff(Record):
    """One decision about a registered version."""

    decision: Literal["approved", "declined", "withdrawn"]
    name: str = Field(description="registered model")
    alias: str = Field(description="clinical alias that was asked for")
    by: str = Field(description="the person who answers for it")
    account: str = Field(description="account of the operating system and machine")
    at: str = Field(description="ISO 8601, UTC")
    meaning: str = Field(description="what the signature means")
    version: int
    report_id: str | None = Field(None, description="sha256 (hex) of the signed report")
    weights_sha256: str | None = Field(None, description="sha256 (hex) of weights.safetensors")
    protocol_sha256: str | None = Field(None, description="sha256 (hex) of the protocol")
    package_sha256: str | None = Field(None, description="sha256 (hex) of the registered package")
    record: str = Field(description="sha256 (hex) of the audit record")


class SignOffs(ListRecord[list[SignOff]]):
    """SIGNOFF.json beside a report: decisions, oldest first."""

    FILE: ClassVar[str] = "SIGNOFF.json"


class AuditRecord(Record):
    """One line of audit.jsonl. Beside these keys stand the facts of its event."""

    seq: int = Field(description="0, 1, 2, ...")
    at: str = Field(description="ISO 8601, UTC, ms")
    event: str = Field(description="registered, approved, refused, ...")
    by: str | None = Field(None, description="the person who answers for it; null for xmed itself")
    account: str = Field(default="", description="account of the operating system and machine")
    tool: str = Field(default="", description="xmed and its version")
    model: str | None = Field(None, description="registered model")
    version: int | None = Field(None, description="of that model")
    run: str | None = None
    alias: str | None = None
    meaning: str | None = None
    reasons: list[str] = Field(default=[], description="why something was refused")
    hashes: dict[str, str] = Field(default={}, description="sha256 (hex) by name")
    prev: str | None = Field(description="sha256 (hex) of the record before")
    sha256: str = Field(description="sha256 (hex) of this record without its signature")
    hmac: str | None = Field(None, description="HMAC-SHA256 (hex) of sha256 with XMED_AUDIT_KEY")


class AuditEnd(Record):
    """audit.head.json, and the same in the registry: the last record of a log."""

    FILE: ClassVar[str] = "audit.head.json"
    seq: int
    sha256: str
    log: str | None = Field(None, description="sha256 (hex) of the log's first record; in the registry")
    hmac: str | None = Field(None, description="HMAC-SHA256 (hex) with XMED_AUDIT_KEY")


class RefusalReason(Record):
    """One reason why a version may not become a clinical one."""

    code: str
    text: str
    detail: list[str]


class ApprovalAnswer(Record):
    """What came of asking for a clinical alias."""

    name: str = Field(description="registered model")
    version: int
    alias: str
    by: str
    approved: bool = Field(description="whether the version holds the alias now and nothing speaks against it")
    already: bool | None = Field(None, description="whether it held the alias before")
    declined: bool | None = Field(None, description="whether a person said no")
    refused: list[RefusalReason] = Field(default=[], description="every reason why not")
    record: str | None = Field(None, description="sha256 (hex) of the audit record")
