"""Find out whether new data has arrived and is complete, by looking at it twice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from xmed.app.plan import plan_dataset
from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.io.links import LinkPolicy
from xmed.io.pacs import connect
from xmed.io.pacs.catalogue import find_series
from xmed.records.record import read_record, write
from xmed.records.run_state import Arrival
from xmed.spec import DatasetSpec


def state_of(spec: DatasetSpec, root: Path | None = None) -> str:
    """Digest what a dataset consists of now: its folder's files, or the objects that its PACS query returns.

    No image is read or fetched.

    Args:
        spec: The dataset.
        root: Folder of the dataset's files, in place of the spec's.

    Returns:
        sha256 (hex).

    Raises:
        XmedError: PATH_NOT_FOUND, PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER; USAGE for a dataset to which no new data
            can come.
    """
    if spec.pacs:
        archive = connect(spec.pacs.server, spec.pacs.listen)
        images = find_series(archive, spec.pacs.query)
        labels = find_series(archive, spec.pacs.labels, images) if spec.pacs.labels and images else []
        return digest([[series.uid, sorted(series.objects)] for series in (*images, *labels)])
    if spec.made or spec.files:
        what = f"{spec.name} is written or fetched by xmed itself"
        raise XmedError("USAGE", what, "a folder or a PACS query to which new cases come")
    folder = spec.folder(root)
    if not folder.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"dataset {spec.name}: no folder {folder}", "the folder of its files")
    return digest(sorted(_files(folder, LinkPolicy(folder.resolve(), spec.link_folders()))))


@dataclass(frozen=True)
class WatchParameters:
    """Parameters of the flow `watch`.

    Attributes:
        when: `new`: run when the study's target has new cases. `drift`: run when a drift check of `data` gives alarm.
        data: With `drift`: a dataset, or a folder with a file or DICOM folder per case.
        minutes: How long data must not have changed to count as complete.
    """

    when: Literal["new", "drift"]
    data: str | None
    minutes: float


def watch_parameters(
    target: DatasetSpec, drift_data: str | None, minutes: float, target_root: Path | None = None
) -> WatchParameters:
    """Check that new data can arrive where it is watched for, and return the parameters of the flow `watch`.

    Args:
        target: The study's target, which is watched where `drift_data` is None.
        drift_data: A dataset, or a folder with a file or DICOM folder per case, that is checked for drift.
        minutes: How long data must not have changed to count as complete.
        target_root: Folder of the target's files, in place of its spec's.

    Returns:
        What the flow watches, and for how long.

    Raises:
        XmedError: As `state_of`, and SPEC_NOT_FOUND, SPEC_INVALID.
    """
    if not drift_data:
        state_of(target, target_root)
    elif not Path(drift_data).is_dir():
        state_of(plan_dataset(drift_data))
    return WatchParameters("drift" if drift_data else "new", drift_data, minutes)


@dataclass(frozen=True)
class Watch:
    """The state of a dataset at the last look, kept in a file; decides whether there is something to do."""

    path: Path

    def due(self, state: str, minutes: float, now: datetime | None = None) -> str:
        """Record a look at the data.

        Args:
            state: What `state_of` returned.
            minutes: How long the data must not have changed to count as complete.
            now: The time of the look; by default the present.

        Returns:
            An empty string where the data is new and complete; else the reason why not.
        """
        now, last_look = now or datetime.now(UTC), self._last_look()
        if last_look.done == state:
            return "nothing new"
        if last_look.seen != state:
            self._write(last_look.model_copy(update={"seen": state, "since": now.isoformat()}))
            return "something came since the last look"
        quiet = _since(last_look, now)
        if quiet is None:  # the clock was set back, or what was written down is damaged: the wait begins anew
            self._write(last_look.model_copy(update={"seen": state, "since": now.isoformat()}))
            return f"quiet for 0 of {minutes:g} minutes: the clock was set back since the last look"
        if quiet < timedelta(minutes=minutes):
            return f"quiet for {quiet.total_seconds() / 60:.0f} of {minutes:g} minutes"
        return ""

    def done(self, state: str) -> None:
        """Record that this state was handled, whatever the result, so that it is not due again.

        Args:
            state: What `state_of` returned.
        """
        self._write(self._last_look().model_copy(update={"done": state}))

    def _last_look(self) -> Arrival:
        try:
            return read_record(Arrival, self.path)
        except XmedError:
            return Arrival()  # never looked; or the file is damaged, which costs one look

    def _write(self, document: Arrival) -> None:
        write(document, self.path)


def _since(arrival: Arrival, now: datetime) -> timedelta | None:
    """For how long nothing has changed; None where no clock can say."""
    try:
        quiet = now - datetime.fromisoformat(arrival.since or "")
    except (TypeError, ValueError):  # TypeError: a moment without a time zone
        return None
    return quiet if quiet >= timedelta(0) else None


def _files(folder: Path, reach: LinkPolicy) -> list[tuple[str, int, int]]:
    """Name, size and time of every file below a folder; one that goes while we look was never there.

    Linked folders are looked into where ingest does so. A folder that several links lead to is looked into once.
    """
    listed = []
    visited: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        seen = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in seen if not Path(place, name).is_symlink()]
        for link in (Path(place, name) for name in seen if name not in folders):
            if not reach.enters(link, folder):
                continue
            target = os.path.realpath(link)
            listed.append((f"{link.relative_to(folder).as_posix()} -> {target}", 0, 0))
            if target not in visited:
                visited.add(target)
                folders.append(link.name)
        for name in files:
            path = Path(place, name)
            try:
                facts = path.stat()
            except OSError:
                continue
            listed.append((path.relative_to(folder).as_posix(), facts.st_size, facts.st_mtime_ns))
    return listed
