"""Inspection: what lies in a folder or file and whether xmed would take it, found out without writing anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from xmed.errors import XmedError
from xmed.io.dicom import by_series, volume_of
from xmed.io.files import kind_of, reading, walk
from xmed.io.instance import Instance, read_instances
from xmed.io.nifti import read_nifti
from xmed.io.picture import read_picture
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

    A series is looked for within one folder. Every pixel is read, so that "ok" means that ingest will read it, too.
    Contents never raise.

    Raises XmedError PATH_NOT_FOUND.
    """
    path = Path(path)
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"{path}", "an existing file or folder")
    files = walk(path) if path.is_dir() else [path]
    findings = [finding for _, group in groupby(files, key=lambda file: file.parent) for finding in _folder(group)]
    return sorted(findings, key=lambda finding: (str(finding.path), finding.series or ""))


def _folder(files: Iterable[Path]) -> list[Finding]:
    findings: list[Finding] = []
    instances: list[Instance] = []
    for file in files:
        found = _file(file)
        if isinstance(found, Instance):
            instances.append(found)
        else:
            findings.append(found)
    broken = [finding for finding in findings if finding.kind == "other" and finding.verdict == "refused"]
    for uid, group in by_series(instances).items():
        place = group[0].path if len(group) == 1 else group[0].path.parent
        series = hashlib.sha256(uid.encode()).hexdigest()[:8]
        findings.append(_judged(place, "series", partial(_whole, group, broken), len(group), group[0].modality, series))
    return findings


def _whole(instances: list[Instance], broken: list[Finding]) -> Volume:
    """The Volume of a series, unless an unreadable file beside it may be a slice that it lacks."""
    if broken:
        raise XmedError(
            str(broken[0].code), f"{broken[0].path.name} in the same folder is unreadable", "whole files only"
        )
    return volume_of(instances)


def _file(path: Path) -> Finding | Instance:
    """The Finding of one file, or the DICOM image that is a part of one."""
    try:
        with reading(path.name):
            kind = kind_of(path)
            if kind == "nifti":
                return _judged(path, "nifti", partial(read_nifti, path))
            if kind == "picture":
                return _judged(path, "picture", partial(read_picture, path))
            instances = read_instances([path])
    except XmedError as problem:
        return Finding(path, "other", "refused", code=problem.code, message=str(problem))
    if not instances:
        return Finding(path, "other", "skipped", code="NOT_DICOM", message="no file of a kind that xmed reads")
    if not instances[0].is_image:
        message = f"DICOM {instances[0].sop_class.name}"
        return Finding(path, "other", "skipped", modality=instances[0].modality, code="NON_IMAGE", message=message)
    return instances[0]


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
