"""Inspection: what lies in a folder or file and whether xmed would take it, found out without writing anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xmed.errors import XmedError
from xmed.io.dicom import by_series, volume_of
from xmed.io.files import kind_of, reading, walk
from xmed.io.instance import Instance, read_instances
from xmed.io.nifti import read_nifti
from xmed.io.picture import read_label_picture
from xmed.volume import Volume


@dataclass(frozen=True)
class Finding:
    """One series, file or object: what it is, and what ingest would say to it. Names no person.

    path: the folder of a series, else the file. series: short hash of the Series Instance UID.
    shape: (i, j, k). spacing_mm: along i, j, k. code, message: why it is refused, from the table of `xmed.errors`.
    """

    path: Path
    kind: Literal["series", "nifti", "picture", "other"]
    verdict: Literal["ok", "refused", "skipped"]
    files: int = 1
    modality: str | None = None
    series: str | None = None
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    code: str | None = None
    message: str | None = None


def inspect(path: str | Path) -> list[Finding]:
    """One Finding for each image series, NIfTI, picture and other object at `path`, folders searched to the bottom.

    Every pixel is read, so that "ok" means that ingest will read it, too. Contents never raise.

    Raises XmedError PATH_NOT_FOUND.
    """
    path = Path(path)
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"{path}", "an existing file or folder")
    folders: dict[Path, list[Instance]] = {}
    findings = []
    for file in walk(path) if path.is_dir() else [path]:
        finding = _file(file)
        if isinstance(finding, Instance):
            folders.setdefault(file.parent, []).append(finding)
        else:
            findings.append(finding)
    for folder, instances in folders.items():
        findings += _series(folder, instances)
    return sorted(findings, key=lambda finding: (str(finding.path), finding.series or ""))


def _file(path: Path) -> Finding | Instance:
    """The Finding of one file, or the DICOM image that is a part of one."""
    try:
        with reading(path.name):
            kind = kind_of(path)
            if kind == "nifti":
                return _judged(path, "nifti", lambda: read_nifti(path))
            if kind == "picture":
                return _judged(path, "picture", lambda: read_label_picture(path))
            instances = read_instances([path])
    except XmedError as problem:
        return Finding(path, "other", "refused", code=problem.code, message=str(problem))
    if not instances:
        return Finding(path, "other", "skipped", code="NOT_DICOM", message="no file of a kind that xmed reads")
    if not instances[0].is_image:
        message = f"DICOM {instances[0].sop_class.name}"
        return Finding(path, "other", "skipped", modality=instances[0].modality, code="NON_IMAGE", message=message)
    return instances[0]


def _series(folder: Path, instances: list[Instance]) -> Iterator[Finding]:
    for uid, group in by_series(instances).items():
        short = hashlib.sha256(uid.encode()).hexdigest()[:8]
        place = group[0].path if len(group) == 1 else folder
        yield _judged(place, "series", lambda: volume_of(group), len(group), group[0].modality, short)  # noqa: B023


def _judged(
    path: Path,
    kind: Literal["series", "nifti", "picture"],
    read: Callable[[], Volume],
    files: int = 1,
    modality: str | None = None,
    series: str | None = None,
) -> Finding:
    try:
        volume = read()
    except XmedError as problem:
        return Finding(path, kind, "refused", files, modality, series, code=problem.code, message=str(problem))
    return Finding(path, kind, "ok", files, modality, series, volume.grid.shape, volume.spacing)
