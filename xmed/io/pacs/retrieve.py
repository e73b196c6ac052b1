"""Retrieve: what a query names comes to lie below a folder, under names that nobody can be found by.

image/<patient>/<series>/<object>.dcm     label/<patient>/<series it refers to>/<object>.dcm

Every name is a pseudonym of a UID or a Patient ID; nothing that an archive says becomes part of a path. A file that is
there with bytes is whole and is not fetched again. An object that is named and not there yet has an empty file in its
place, so that no reader can take an unfinished series for a shorter one.
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
from xmed.io.file_kinds import reading
from xmed.io.pacs.archive import Archive, Series, patiently
from xmed.io.pacs.catalogue import catalogue
from xmed.io.pacs.connect import connect
from xmed.spec.archive_query import PacsSpec

Name = Callable[[str, str], str]
"""(kind, identifier) → a name for a file; the same for the same, and nobody can turn it back."""
STALE_SECONDS = 3600.0


def retrieve(spec: PacsSpec, root: Path, name: Name, progress: Progress | None = None) -> None:
    """Fetch what the query names and `root` does not hold, and remove what the archive no longer names.

    name: makes the names. progress: (what, done, total, note), for each series.

    Raises XmedError PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER, and NO_CASES for a query that names nothing; then
    nothing is removed. What came before stays, and the next call goes on from there.
    """
    archive = connect(spec.server, spec.listen)
    images = catalogue(archive, spec.query)
    if not images:
        raise XmedError("NO_CASES", "the archive names no series for this query", "at least one", "widen `pacs.query`")
    labels = catalogue(archive, spec.labels, images) if spec.labels else []
    kept: set[Path] = set()
    for done, series in enumerate(images):
        folder = root / "image" / name("patient", series.patient) / name("series", series.uid)
        kept |= _fill(archive, series, {uid: folder / f"{name('object', uid)}.dcm" for uid in series.objects})
        if progress:
            progress("retrieve", done + 1, len(images) + len(labels), f"{len(series.objects)} objects")
    for done, series in enumerate(labels, len(images)):
        kept |= _labels(
            archive, series, root / "label" / name("patient", series.patient), name, {one.uid for one in images}
        )
        if progress:
            progress("retrieve", done + 1, len(images) + len(labels), f"{len(series.objects)} label objects")
    for path in [*root.glob("image/*/*/*"), *root.glob("label/*/*/*")]:
        if path not in kept and not _being_written(path):
            path.unlink(missing_ok=True)


def _fill(archive: Archive, series: Series, places: dict[str, Path]) -> set[Path]:
    """Every object of a series at its place, as far as the archive hands it over."""
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

    patiently(ask)
    return set(places.values())


def _labels(archive: Archive, series: Series, folder: Path, name: Name, images: set[str]) -> set[Path]:
    """The objects of a label series, each beside the image series that it refers to; others are left out."""
    kept: set[Path] = set()
    new = []
    for uid in series.objects:
        there = list(folder.glob(f"*/{name('object', uid)}.dcm"))
        kept.update(there)
        new += [] if there else [uid]

    def keep(uid: str, data: bytes) -> None:
        with reading("a label object"):
            about = _refers_to(pydicom.dcmread(BytesIO(data), stop_before_pixels=True))
        if about in images:
            place = folder / name("series", about) / f"{name('object', uid)}.dcm"
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(place, data, private=True)
            kept.add(place)

    if new:
        patiently(lambda: archive.fetch(series, new, keep))
    return kept


def _refers_to(dataset: Dataset) -> str:
    """The Series Instance UID of the images that a segmentation or a structure set was drawn on; empty for none."""
    for path in (
        ["ReferencedSeriesSequence"],
        ["ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence"],
    ):
        found: Sequence[Dataset] = [dataset]
        for sequence in path:
            found = [item for outer in found for item in outer.get(sequence) or ()]
        if found:
            return str(found[0].get("SeriesInstanceUID") or "")
    return ""


def _being_written(path: Path) -> bool:
    """Whether this is another process's part of a file; one that was killed leaves parts that grow old."""
    try:
        return path.name.startswith(".") and abs(time.time() - path.stat().st_mtime) < STALE_SECONDS
    except FileNotFoundError:
        return False
