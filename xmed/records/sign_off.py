"""Sign-off: SIGNOFF.json, what people decided about a model, kept beside its report."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from xmed.records.record import ListRecord, Record


class SignOff(Record):
    """One decision about a registered version."""

    decision: Literal["approved", "declined", "withdrawn"]
    name: str = Field(default="", description="registered model")
    alias: str = Field(default="", description="clinical alias that was asked for")
    by: str = Field(default="", description="the person who answers for it")
    account: str = Field(default="", description="account of the operating system and machine")
    at: str = Field(description="ISO 8601, UTC")
    meaning: str = Field(default="", description="what the signature means")
    version: int | None = None
    report_id: str | None = Field(None, description="sha256 (hex) of the signed report")
    weights_sha256: str | None = Field(None, description="sha256 (hex) of weights.safetensors")
    protocol_sha256: str | None = Field(None, description="sha256 (hex) of the protocol")
    package_sha256: str | None = Field(None, description="sha256 (hex) of the registered package")
    record: str | None = Field(None, description="sha256 (hex) of the audit record; a decision without it is none")


class SignOffs(ListRecord[list[SignOff]]):
    """SIGNOFF.json beside a report: decisions, oldest first."""

    FILE: ClassVar[str] = "SIGNOFF.json"
