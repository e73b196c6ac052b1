"""Arrival watch: whether data that is coming in has stopped coming, found out by looking twice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.io.links import Reach
from xmed.io.pacs import connect
from xmed.io.pacs.catalogue import catalogue
from xmed.records.record import read, write
from xmed.records.run_state import Arrival
from xmed.spec import DatasetSpec


def state_of(spec: DatasetSpec, root: Path | None = None) -> str:
    """sha256 (hex) of what a dataset consists of now: its folder's files, or the objects that its PACS query names.

    Nothing is read or fetched. Raises XmedError PATH_NOT_FOUND, PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER, and USAGE
    for a dataset to which nothing new can come.
    """
    if spec.pacs:
        archive = connect(spec.pacs.server, spec.pacs.listen)
        images = catalogue(archive, spec.pacs.query)
        labels = catalogue(archive, spec.pacs.labels, images) if spec.pacs.labels and images else []
        return digest([[series.uid, sorted(series.objects)] for series in (*images, *labels)])
    if spec.made or spec.files:
        what = f"{spec.name} is written or fetched by xmed itself"
        raise XmedError("USAGE", what, "a folder or a PACS query to which new cases come")
    folder = spec.folder(root)
    if not folder.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"dataset {spec.name}: no folder {folder}", "the folder of its files")
    return digest(sorted(_files(folder, Reach(folder.resolve(), spec.link_folders()))))


@dataclass(frozen=True)
class Watch:
    """What was seen at the last look, kept in a file; whether something is due is decided here and nowhere else."""

    path: Path

    def due(self, state: str, minutes: float, now: datetime | None = None) -> str:
        """Remember a look. Empty when what is there is new and has not changed for so many minutes, else why not."""
        now, known = now or datetime.now(UTC), self._known()
        if known.done == state:
            return "nothing new"
        if known.seen != state:
            self._write(known.model_copy(update={"seen": state, "since": now.isoformat()}))
            return "something came since the last look"
        quiet = _since(known, now)
        if quiet is None:  # the clock was set back, or what was written down is damaged: the wait begins anew
            self._write(known.model_copy(update={"seen": state, "since": now.isoformat()}))
            return f"quiet for 0 of {minutes:g} minutes: the clock was set back since the last look"
        if quiet < timedelta(minutes=minutes):
            return f"quiet for {quiet.total_seconds() / 60:.0f} of {minutes:g} minutes"
        return ""

    def done(self, state: str) -> None:
        """What is there now is dealt with, whatever came of it; the same is not due again."""
        self._write(self._known().model_copy(update={"done": state}))

    def _known(self) -> Arrival:
        try:
            return read(Arrival, self.path)
        except XmedError:
            return Arrival()  # never looked; or the file is damaged, which costs one look

    def _write(self, document: Arrival) -> None:
        write(document, self.path)


def _since(known: Arrival, now: datetime) -> timedelta | None:
    """For how long nothing has changed; None where no clock can say."""
    try:
        quiet = now - datetime.fromisoformat(known.since or "")
    except (TypeError, ValueError):  # TypeError: a moment without a time zone
        return None
    return quiet if quiet >= timedelta(0) else None


def _files(folder: Path, reach: Reach) -> list[tuple[str, int, int]]:
    """Name, size and time of every file below a folder; one that goes while we look was never there.

    Linked folders are looked into where ingest does so. A folder that several links lead to is looked into once.
    """
    found = []
    known: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        seen = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in seen if not Path(place, name).is_symlink()]
        for link in (Path(place, name) for name in seen if name not in folders):
            if not reach.enters(link, folder):
                continue
            target = os.path.realpath(link)
            found.append((f"{link.relative_to(folder).as_posix()} -> {target}", 0, 0))
            if target not in known:
                known.add(target)
                folders.append(link.name)
        for name in files:
            path = Path(place, name)
            try:
                facts = path.stat()
            except OSError:
                continue
            found.append((path.relative_to(folder).as_posix(), facts.st_size, facts.st_mtime_ns))
    return found
