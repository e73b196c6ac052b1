"""Server stack: what `xmed up` and `xmed down` answer, and what the supervisor writes about its services."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from xmed.records.record import Record


class ServerLogin(Record):
    """Where a server's pages are, and who may log in."""

    url: str
    user: str
    password: str = Field(description="file that holds the password")


class DatabaseServer(Record):
    """Where PostgreSQL answers, and where its data lie."""

    address: str = Field(description="host:port")
    data: str = Field(description="data directory")


class RunningStack(Record):
    """The servers of a home: the answer of `xmed up`."""

    up: bool = Field(description="whether they run")
    home: str = Field(description="folder of the home")
    prefect: ServerLogin
    mlflow: ServerLogin
    postgres: DatabaseServer
    logs: str = Field(description="folder of the logs")
    embedded: str | None = Field(description="the database of MLflow from before the servers, if there is one")


class StoppedStack(Record):
    """The answer of `xmed down`."""

    up: bool = Field(description="always false")
    was_up: bool = Field(description="whether the servers ran")
    ended: list[str] = Field(description="names of the services that were stopped")


class SupervisorState(Record):
    """services.json: what the supervisor last wrote about its services."""

    pid: int | None = Field(None, description="process id of the supervisor")
    ready: bool = Field(False, description="whether every service answers")
    failed: list[str] | None = Field(None, description="code, what, expected and fix of the error that ended it")
    processes: dict[str, Annotated[tuple[int, str | None], Field(strict=False)]] = Field(
        {}, description="service -> process id, and when it started, in ticks of the kernel"
    )
