"""Inspect a folder or file: which images it holds and whether xmed can read them. Nothing is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from xmed.errors import XmedError
from xmed.io.dicom.instance import Instance, read_instances
from xmed.io.dicom.series import group_by_series, volume_readers
from xmed.io.file_kinds import file_kind, reader_errors, walk_with_problems
from xmed.io.nifti.file import read_nifti
from xmed.io.notes import Note, add_note, collect_notes
from xmed.io.pictures.picture import read_picture
from xmed.io.sandbox.worker import run_in_sandbox
from xmed.volume import Volume

_READER_DIED = ("OOM", "READER_TIMEOUT", "READER_CRASHED")


@dataclass(frozen=True)
class Finding:
    """The result of inspecting one series, file or object. It contains no names of persons.

    Attributes:
        path: The folder of a series, otherwise the file.
        kind: Format of the file.
        verdict: "ok" (ingest will read it), "refused" (an error) or "skipped" (not an image).
        files: Number of files.
        modality: DICOM modality, or None.
        series: Short hash of the Series Instance UID.
        volume: What distinguishes this volume from the others of its series. The order is that of `image_channel` in a
            dataset spec.
        shape: Number of voxels (i, j, k).
        spacing_mm: Spacing along i, j, k in mm.
        code: Reason of a refusal, one of `xmed.errors.CODES`.
        message: What was found and what was expected.
        do: How to fix it.
        notes: Repairs that the reader made.
    """

    path: Path
    kind: Literal["series", "nifti", "picture", "other"]
    verdict: Literal["ok", "refused", "skipped"]
    files: int = 1
    modality: str | None = None
    series: str | None = None
    volume: str | None = None
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    code: str | None = None
    message: str | None = None
    do: str | None = None
    notes: tuple[Note, ...] = ()


def inspect(path: str | Path) -> list[Finding]:
    """Inspect every image series, NIfTI file, picture and other object at `path`, folders recursively.

    A series is searched within one folder. All pixels are read, so that "ok" means that ingest can read them as well.
    The readers run in a sandboxed process: a file that crashes its reader gives one finding and does not stop the
    others.

    Args:
        path: A folder or a file.

    Returns:
        The findings, sorted by path and series.

    Raises:
        XmedError: PATH_NOT_FOUND, or PATH_UNSAFE for a folder with too many files.
    """
    path = Path(path)
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"{path}", "an existing file or folder")
    findings: list[Finding] = []
    for _, group in groupby(
        walk_with_problems(path) if path.is_dir() else [(path, None)], key=lambda entry: entry[0].parent
    ):
        checked_files = list(group)
        unsafe = [_as_refused(Finding(file, "other", "refused"), problem) for file, problem in checked_files if problem]
        findings += unsafe + _inspect_in_sandbox([file for file, problem in checked_files if problem is None], unsafe)
    return sorted(findings, key=lambda finding: (str(finding.path), finding.series or ""))


def _inspect_in_sandbox(files: list[Path], broken: list[Finding]) -> list[Finding]:
    """Run `_inspect_files` in a sandboxed process.

    If that process dies, each file is inspected alone to find the cause, and then the remaining files together.
    """
    try:
        return run_in_sandbox(_inspect_files, files, broken)
    except XmedError as problem:
        if len(files) == 1:
            return [_as_refused(Finding(files[0], "other", "refused"), problem)]
        alone = [(file, _inspect_in_sandbox([file], [])) for file in files]
        deadly = [findings[0] for _, findings in alone if findings and findings[0].code in _READER_DIED]
        if not deadly:
            return [_as_refused(Finding(files[0].parent, "other", "refused", len(files)), problem)]
        killers = {finding.path for finding in deadly}
        return deadly + _inspect_in_sandbox([file for file in files if file not in killers], broken + deadly)


def _inspect_files(files: list[Path], broken: list[Finding]) -> list[Finding]:
    """Return the findings of the files of one folder.

    broken: findings of files in the same folder that cannot be opened.
    """
    findings: list[Finding] = []
    instances: list[Instance] = []
    repairs: dict[str, list[Note]] = {}
    for file in files:
        with collect_notes() as notes:
            result = _inspect_file(file)
        if isinstance(result, Instance):
            instances.append(result)
            repairs.setdefault(result.series, []).extend(notes)
        else:
            findings.append(result)
    broken = broken + [finding for finding in findings if finding.kind == "other" and finding.verdict == "refused"]
    for uid, group in group_by_series(instances).items():
        place = group[0].path if len(group) == 1 else group[0].path.parent
        series = hashlib.sha256(uid.encode()).hexdigest()[:8]
        noted = tuple(dict.fromkeys(repairs[uid]))
        finding = Finding(place, "series", "ok", len(group), group[0].modality, series, notes=noted)
        findings += _inspect_series(finding, group, broken)
    return findings


def _inspect_series(finding: Finding, instances: list[Instance], broken: list[Finding]) -> list[Finding]:
    """Return one finding for each volume of a series.

    The series is refused if an unreadable file in its folder could be one of its slices.
    """
    if broken:
        what = f"{broken[0].path.name} in the same folder is unreadable"
        return [
            _as_refused(finding, XmedError(str(broken[0].code), what, "whole files only", "fetch the series again"))
        ]
    with collect_notes() as notes:
        try:
            volumes = volume_readers(instances)
        except XmedError as problem:
            return [_as_refused(finding, problem)]
    finding = replace(finding, notes=(*finding.notes, *notes))
    return [_finding_from_reader(replace(finding, volume=name or None), read) for name, read in volumes.items()]


def _inspect_file(path: Path) -> Finding | Instance:
    """Return the finding of a file, or the DICOM image in it, which is a part of a series."""
    try:
        with reader_errors(path.name):
            kind = file_kind(path)
            if kind == "nifti":
                return _finding_from_reader(Finding(path, "nifti", "ok"), partial(_read_unlabelled_nifti, path))
            if kind == "picture":
                return _finding_from_reader(Finding(path, "picture", "ok"), partial(read_picture, path))
            instances = read_instances([path])
    except XmedError as problem:
        return _as_refused(Finding(path, "other", "refused"), problem)
    if not instances:
        return Finding(path, "other", "skipped", code="NOT_DICOM", message="no file of a kind that xmed reads")
    if not instances[0].is_image:
        message = f"DICOM {instances[0].kind}"
        return Finding(path, "other", "skipped", modality=instances[0].modality, code="NON_IMAGE", message=message)
    return instances[0]


def _read_unlabelled_nifti(path: Path) -> Volume:
    """Read a NIfTI file that may be an image or a label map; zeros alone may be an empty label map."""
    volume = read_nifti(path)
    if (value := volume.array.flat[0]) == 0 and not volume.array.any():
        add_note("EMPTY", "every voxel is 0: a label map without structures, or no image")
    elif (volume.array == value).all():
        raise XmedError("CONSTANT", f"every voxel is {value}", "an image with content, or a label map")
    return volume


def _finding_from_reader(finding: Finding, read: Callable[[], Volume]) -> Finding:
    """Complete a finding with the result of reading the volume."""
    with collect_notes() as notes:
        try:
            volume = read()
        except XmedError as problem:
            return _as_refused(finding, problem)
    all_notes = tuple(dict.fromkeys((*finding.notes, *notes)))
    return replace(finding, shape=volume.grid.shape, spacing_mm=volume.spacing, notes=all_notes)


def _as_refused(finding: Finding, problem: XmedError) -> Finding:
    """Return the finding with the verdict "refused" and the reason."""
    message = " · ".join(" ".join(part.split()) for part in (problem.what, problem.expected) if part)
    return replace(finding, verdict="refused", code=problem.code, message=message, do=problem.do or None)
