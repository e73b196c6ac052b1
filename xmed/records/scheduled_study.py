"""Scheduled study: what `xmed schedule` prints."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import AnswerRecord


class ScheduledStudy(AnswerRecord):
    """One schedule, as `xmed schedule` lists it."""

    study: str
    schedule: str = Field(description="cron expression, or what is waited for")
    timezone: str | None = Field(description="of the cron expression")
    active: bool
    next: str | None = Field(description="next run, ISO 8601, local time")
    last: str | None = Field(description="state of the last run, in Prefect's words")
    last_at: str | None = Field(description="start of the last run, ISO 8601, local time")
    last_said: str | None = Field(description="message of the last run")
