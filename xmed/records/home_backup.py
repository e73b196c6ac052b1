"""Home backup: what a backup file says of itself, and what `xmed backup` and `xmed restore` answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xmed.records.record import Record

RegistryKind = Literal["sqlite", "postgresql"]
"""The database that holds the registry: embedded, or of the servers of `xmed up`."""


class BackupManifest(Record):
    """manifest.json, the last file of a backup."""

    format: Literal["xmed-backup/1"] = Field(description="edition of backups")
    made_at: str = Field(alias="made", description="ISO 8601, UTC")
    xmed: str = Field("", description="version that wrote it")
    home: str = Field(description="folder that was backed up")
    registry: RegistryKind | None = Field(None, description="null where nothing was registered yet")
    files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(description="name -> sha256 (hex)")


class BackupSummary(Record):
    """What was written by `xmed backup`."""

    file: str = Field(description="the backup")
    files: int = Field(description="files in it")
    bytes: int = Field(description="its size")
    made_at: str = Field(alias="made", description="ISO 8601, UTC")
    home: str = Field(description="folder that was backed up")
    registry: RegistryKind | None = Field(description="null where nothing was registered yet")


class RestoreSummary(Record):
    """What was restored by `xmed restore`."""

    home: str = Field(description="folder that was restored to")
    files: int = Field(description="files of the backup")
    from_: str = Field(alias="from", description="folder that was backed up")
    made_at: str = Field(alias="made", description="when it was backed up, ISO 8601, UTC")
    registry: RegistryKind | None = Field(description="null where nothing was registered yet")
