"""Version decision: what the registry answers to an approval or a withdrawal."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import AnswerRecord, Record


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
