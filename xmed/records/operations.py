"""Operations: what commands print about schedules and about the servers of a home."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import AnswerRecord, Record


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


class WebServer(Record):
    """A server with pages for a browser."""

    url: str
    user: str = Field(description="name to log in with")
    password: str = Field(description="path of the file that holds the password")


class DatabaseServer(Record):
    """The PostgreSQL server of a home."""

    address: str = Field(description="host:port")
    data: str = Field(description="folder of the database")


class RunningServers(AnswerRecord):
    """Where the servers of `xmed up` answer."""

    up: bool = Field(description="whether they run")
    home: str = Field(description="folder of the home")
    prefect: WebServer
    mlflow: WebServer
    postgres: DatabaseServer
    logs: str = Field(description="folder of the log files")
    embedded: str | None = Field(description="the registry of before `xmed up`, where there is one")
