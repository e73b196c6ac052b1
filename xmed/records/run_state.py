"""Run state: how far a run, or a watched folder, has come."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from xmed.records.model_version import VersionTags
from xmed.records.record import ListRecord, Record


class Begun(Record):
    """begun.json: by what a killed run is recognised, so that the same command goes on with it."""

    FILE: ClassVar[str] = "begun.json"
    roots: dict[str, str | None] = Field(description="source and target -> folder given instead of the spec's root")
    code: str = Field(description="sha256 (hex) of xmed's source files")
    at: str = Field(description="ISO 8601, UTC")


class RegisteredVersion(VersionTags):
    """What became of a run's model in the registry. The tags of the version stand beside these fields."""

    name: str = Field(description="registered model")
    version: int | None = Field(None, description="null where nothing was registered")
    alias: str | None = Field(None, description="candidate, or null")
    uri: str | None = Field(None, description="models:/...")
    not_registered: str | None = Field(None, description="why nothing was registered")


class Ended(Record):
    """ended.json: what became of a run; one without it is unfinished."""

    FILE: ClassVar[str] = "ended.json"
    registered: RegisteredVersion | None = Field(None, description="of a run that reached its end")
    given_up: str | None = Field(None, description="why it will not be finished")
    at: str = Field(description="ISO 8601, UTC")


class FailedTraining(Record):
    """A method and seed of a comparison that failed, while the others went on."""

    method: str
    seed: int
    code: str = Field(description="error code; FAULT where it was no known error")
    message: str


class FailedTrainings(ListRecord[list[FailedTraining]]):
    """failed.json"""

    FILE: ClassVar[str] = "failed.json"


class Arrival(Record):
    """State of a watched dataset: what was there at the last look."""

    seen: str | None = Field(None, description="sha256 (hex) of what was there")
    since: str | None = Field(None, description="ISO 8601, UTC: since when nothing has changed")
    done: str | None = Field(None, description="sha256 (hex) of what was dealt with")
