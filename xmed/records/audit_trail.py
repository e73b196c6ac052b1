"""Audit trail: what a record of the audit log says, and where the log is said to end."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import Record


class MadeWith(Record):
    """Digests of what a run was made with and cannot be made again in seconds."""

    study: str | None = Field(None, description="sha256 (hex) of study.json")
    protocol: str | None = Field(None, description="sha256 (hex) of the protocol without its own hash and time")
    models: dict[str, str] = Field({}, description="arm/seed -> sha256 (hex) of the model folder, or of its weights")


class AuditRecord(Record):
    """One line of audit.jsonl: what happened, who answers for it, and the hash of the record before.

    The fields from `model` on depend on the event. A record may have further ones.
    """

    seq: int = Field(description="number of the record, from 0")
    sha256: str = Field(description="sha256 (hex) of the record without this field and without its signature")
    prev: str | None = Field(None, description="sha256 (hex) of the record before; 64 zeros in the first one")
    hmac: str | None = Field(None, description="HMAC-SHA256 (hex) of sha256, where XMED_AUDIT_KEY was set")
    sealed: int | None = Field(None, description="edition of signed records: from 2 on the head is signed as well")
    signed_from: int | None = Field(None, description="number of the first signed record")
    at: str = Field("", description="ISO 8601, UTC")
    event: str = Field("", description="what happened, such as registered, approved, refused or withdrawn")
    by: str | None = Field(None, description="the person who answers for it; null for xmed itself")
    account: str = Field("", description="account of the operating system and machine")
    tool: str = Field("", description="xmed and its version")
    model: str | None = Field(None, description="registered model")
    version: int | None = Field(None, description="its version")
    alias: str | None = Field(None, description="alias of the version that was asked for, given or taken away")
    meaning: str = Field("", description="what the person's signature means")
    reasons: list[str] = Field([], description="why it was refused, one sentence each")
    undoes: str | None = Field(None, description="sha256 (hex) of the approval that a refusal takes back")
    run: str | None = Field(None, description="run that made the version")
    verdict: str | None = Field(None, description="of the run's report: pass, fail or inconclusive")
    parent: str | None = Field(None, description="version that this one would replace")
    hashes: dict[str, str] = Field({}, description="tag of the version -> checksum or identifier")
    made_with: MadeWith | None = Field(None, alias="made", description="what the run was made with")
    promoted: bool | None = Field(None, description="whether it became the candidate; version 0.1.0 does not say")
    before: str | None = Field(None, description="id of the report that was replaced")


class LogPosition(Record):
    """A record of the audit log that is noted as the last one: in audit.head.json, or in the registry."""

    seq: int = Field(description="number of the record")
    sha256: str = Field(description="sha256 (hex) of the record")
    log: str | None = Field(None, description="sha256 (hex) of the log's first record; in the registry")
    hmac: str | None = Field(None, description="HMAC-SHA256 (hex) of the fields above, where XMED_AUDIT_KEY was set")
