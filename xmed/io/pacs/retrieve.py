"""Fetch the objects of a query into a folder, under pseudonymous file names.

image/<patient>/<series>/<object>.dcm     label/<patient>/<series it refers to>/<object>.dcm

Each name is a pseudonym of a UID or Patient ID; no text from the archive becomes part of a path. A file that is not
empty is complete and is not fetched again. An object that is still missing is represented by an empty file, so that a
reader cannot mistake an incomplete series for a shorter one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.progress import Progress
from xmed.io.file_kinds import reader_errors
from xmed.io.pacs.archive import Archive, ArchiveSeries, with_retries
from xmed.io.pacs.catalogue import find_series
from xmed.io.pacs.connect import connect
from xmed.spec.archive_query import PacsSpec

MakeName = Callable[[str, str], str]
"""Function (kind, identifier) → file name. Equal identifiers give equal names, which cannot be reversed."""
STALE_SECONDS = 3600.0


def retrieve(spec: PacsSpec, root: Path, name: MakeName, progress: Progress | None = None) -> None:
    """Fetch the objects of a query that `root` does not hold, and remove those that the query no longer returns.

    Args:
        spec: Address and query.
        root: The folder.
        name: Makes the pseudonyms.
        progress: Called with (what, done, total, note) after each series.

    Raises:
        XmedError: PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER, or NO_CASES if the query returns nothing; nothing is
            removed then. Objects that arrived are kept, and the next call continues from there.
    """
    archive = connect(spec.server, spec.listen)
    images = find_series(archive, spec.query)
    if not images:
        raise XmedError("NO_CASES", "the archive has no series for this query", "at least one", "widen `pacs.query`")
    labels = find_series(archive, spec.labels, images) if spec.labels else []
    current: set[Path] = set()
    for done, series in enumerate(images):
        folder = root / "image" / name("patient", series.patient) / name("series", series.uid)
        current |= _fetch_series(
            archive, series, {uid: folder / f"{name('object', uid)}.dcm" for uid in series.objects}
        )
        if progress:
            progress("retrieve", done + 1, len(images) + len(labels), f"{len(series.objects)} objects")
    for done, series in enumerate(labels, len(images)):
        current |= _fetch_labels(
            archive,
            series,
            root / "label" / name("patient", series.patient),
            name,
            {image_series.uid for image_series in images},
        )
        if progress:
            progress("retrieve", done + 1, len(images) + len(labels), f"{len(series.objects)} label objects")
    for path in [*root.glob("image/*/*/*"), *root.glob("label/*/*/*")]:
        if path not in current and not _is_being_written(path):
            path.unlink(missing_ok=True)


def _fetch_series(archive: Archive, series: ArchiveSeries, places: dict[str, Path]) -> set[Path]:
    """Fetch the missing objects of a series."""
    for place in places.values():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not place.exists():
            place.touch(mode=0o600)

    def missing() -> list[str]:
        return [uid for uid, place in places.items() if place.stat().st_size == 0]

    def ask() -> None:
        left = missing()
        if left:
            archive.fetch(series, left, lambda uid, data: write_atomically(places[uid], data, private=True))

    with_retries(ask)
    return set(places.values())


def _fetch_labels(archive: Archive, series: ArchiveSeries, folder: Path, name: MakeName, images: set[str]) -> set[Path]:
    """Fetch the objects of a label series, each into the folder of the image series that it refers to.

    Objects that refer to no image series of the query are left out.
    """
    current: set[Path] = set()
    missing = []
    for uid in series.objects:
        existing = list(folder.glob(f"*/{name('object', uid)}.dcm"))
        current.update(existing)
        missing += [] if existing else [uid]

    def keep(uid: str, data: bytes) -> None:
        with reader_errors("a label object"):
            referenced = _referenced_series(pydicom.dcmread(BytesIO(data), stop_before_pixels=True))
        if referenced in images:
            place = folder / name("series", referenced) / f"{name('object', uid)}.dcm"
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(place, data, private=True)
            current.add(place)

    if missing:
        with_retries(lambda: archive.fetch(series, missing, keep))
    return current


def _referenced_series(dataset: Dataset) -> str:
    """Return the Series Instance UID of the images that a segmentation or structure set refers to, "" for none."""
    for path in (
        ["ReferencedSeriesSequence"],
        ["ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence"],
    ):
        items: Sequence[Dataset] = [dataset]
        for sequence in path:
            items = [item for outer in items for item in outer.get(sequence) or ()]
        if items:
            return str(items[0].get("SeriesInstanceUID") or "")
    return ""


def _is_being_written(path: Path) -> bool:
    """Return whether another process is writing this file; parts that a killed process left are older."""
    try:
        return path.name.startswith(".") and abs(time.time() - path.stat().st_mtime) < STALE_SECONDS
    except FileNotFoundError:
        return False
