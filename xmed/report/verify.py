"""Verify a report: recompute it from its files, and return everything in which it differs from what they give."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import array_digest, file_digest, folder_digest
from xmed.html.traced_numbers import shown_problems
from xmed.records.evaluation import DicomObjects
from xmed.report.build_report import MANIFEST, artefacts, schema_problems
from xmed.report.compose_report import compose_report, identity
from xmed.report.edition import older, restated
from xmed.report.sources import Sources
from xmed.run import SIGNOFF, Run, report_at

Document = dict[str, Any]
MISSING = object()
TABLES = ("cases.csv", "protocol.json")
"""Files without a sentence in them: they are the same in every edition."""
COMPARED_AS_TEXT = re.compile(rb"data:[a-z]+/[a-z.+-]+;base64,[A-Za-z0-9+/=]*")
"""Pictures are compared by the contours beside them, not byte by byte: encoders differ between machines."""
TOLERANCE = 1e-12
"""Relative difference of two numbers that counts as none."""


def verify_report(folder: Path) -> list[str]:
    """Return every mismatch of a report, one line each; empty when there is none.

    Beside its run, every number is recomputed from the run's files, files are hashed and the page is drawn again. A
    report's folder that was copied elsewhere is recomputed from its cases.csv as far as that goes. Of a report of an
    older edition the numbers are compared with the files, and the page with the document (see `edition`). A damaged
    file, or one of another shape, is a mismatch, too, and the last one that is found.

    Args:
        folder: A run's folder, or a report's.

    Returns:
        The mismatches.

    Raises:
        XmedError: RUN_NOT_FOUND where there is no report.
    """
    report_folder = report_at(folder)
    problems = list[str]()
    try:
        with documents.guarded(
            "the report, or a file that it was made from,", "REPORT_MISMATCH", "files as xmed writes"
        ):
            for part in _mismatches(report_folder):
                problems += part
    except XmedError as problem:
        if problem.code == "RUN_NOT_FOUND":
            raise
        problems.append(f"{problem.what}: nothing further could be compared")
    return problems


def _mismatches(folder: Path) -> Iterator[list[str]]:
    """The mismatches, one check after the other: a damaged file ends the checks, and those before it are kept."""
    yield manifest_problems(folder)
    written = documents.read_mapping(folder / "report.json")
    broken = schema_problems(written)
    yield broken
    if any(line.startswith("report: ") for line in broken):
        return  # keys are missing: nothing below could be read
    if (folder / "report.html").is_file():
        yield shown_problems((folder / "report.html").read_text(encoding="utf-8"), written)
    run = Run(folder.parent)
    if run.has("study") and run.has("rows"):
        yield from _against_run(run, folder, written)
        return
    if run.has("study"):  # the run itself, not a copy of its report: without its rows its table proves nothing
        yield ["rows.json: missing, so that the report's numbers cannot be recomputed"]
    yield from _against_table(folder, written)


def manifest_problems(folder: Path) -> list[str]:
    """Return where a report's folder differs from its manifest: files changed, missing, or added."""
    path = folder / MANIFEST
    if not path.is_file():
        return [f"{MANIFEST}: missing"]
    lines = path.read_text(encoding="utf-8").splitlines()
    listed = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines if line)}
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}
    files -= {MANIFEST, SIGNOFF}
    changed = [name for name in sorted(files & set(listed)) if file_digest(folder / name) != listed[name]]
    return [
        *(f"{name}: is not the file that {MANIFEST} names" for name in changed),
        *(f"{name}: named by {MANIFEST}, and not there" for name in sorted(set(listed) - files)),
        *(f"{name}: there, and not named by {MANIFEST}" for name in sorted(files - set(listed))),
    ]


def _against_run(run: Run, folder: Path, written: Document) -> Iterator[list[str]]:
    sources = replace(Sources.of(run), edition=written.get("edition", 1))
    report = compose_report(sources)
    yield _document_problems(written, json.loads(json.dumps(report)))
    for name, content in artefacts(run, sources, report).items():
        if name == "report.json" or (older(written) and name not in TABLES):
            continue
        path = folder / name
        if not path.is_file():
            yield [f"{name}: missing"]
        elif _without_pictures(path.read_bytes()) != _without_pictures(content):
            yield [f"{name}: differs from the one that its files give"]
    yield row_problems(sources)
    yield model_problems(run, sources)
    yield prediction_problems(run, sources)
    yield object_problems(run)


def _against_table(folder: Path, written: Document) -> Iterator[list[str]]:
    """Mismatches with cases.csv and protocol.json, for a report that was copied away from its run."""
    sources = replace(Sources.copied(folder), edition=written.get("edition", 1))
    yield _document_problems(written, json.loads(json.dumps(compose_report(sources))))
    yield row_problems(sources)


def _document_problems(written: Document, fresh: Document) -> list[str]:
    problems = differences("report", {**written, "report_id": None}, {**restated(fresh, written), "report_id": None})
    if written["report_id"] != identity(written):
        problems.append("report_id: does not match the report's content")
    return problems


def row_problems(sources: Sources) -> list[str]:
    """Return rows that name a case twice, one that is no test case, or another patient than the data do."""
    patient = {case.case: case.patient for case in sources.tested}
    problems, seen = [], set()
    for row in sources.rows:
        key = row.arm, row.seed, row.case, row.structure
        if row.case not in patient:
            problems.append(f"rows: {row.case} is no labelled test case of the target")
        elif row.patient != patient[row.case]:
            problems.append(f"rows: {row.case} is of {patient[row.case]}, not of {row.patient}")
        if key in seen:
            problems.append(f"rows: {row.arm}, seed {row.seed}, {row.case}, {row.structure} stands there twice")
        seen.add(key)
    return list(dict.fromkeys(problems))


def model_problems(run: Run, sources: Sources) -> list[str]:
    """Return models that are not those that were trained, so that the numbers are of others."""
    problems = []
    for record in sources.trained:
        folder = run.arm(record.arm, record.seed) / "model"
        if record.model_sha256 is not None and folder.is_dir() and folder_digest(folder) != record.model_sha256:
            problems.append(f"{record.arm}, seed {record.seed}: the model is not the one that was trained")
    return problems


def prediction_problems(run: Run, sources: Sources) -> list[str]:
    """Return kept predictions that are not those that were measured: swapped, flipped, edited or missing."""
    problems = []
    for arm, seed in run.arms():
        rows = [row for row in sources.rows if (row.arm, row.seed) == (arm, seed)]
        expected = {row.case: row.prediction_sha256 for row in rows if row.prediction_sha256}
        if not expected:
            continue
        present = _kept_predictions(run.arm(arm, seed) / "labels.npz", f"{arm}, seed {seed}")
        for case, sha256 in expected.items():
            name = f"case.{case}"
            if name not in present:
                problems.append(f"{arm}, seed {seed}, {case}: the prediction that was measured is gone")
            elif present[name] != sha256:
                problems.append(f"{arm}, seed {seed}, {case}: the prediction is not the one that was measured")
    return problems


def _kept_predictions(path: Path, whose: str) -> dict[str, str]:
    """Name -> digest of every label map in labels.npz; empty without the file."""
    if not path.is_file():
        return {}
    with (
        documents.guarded(f"{whose}: {path.name}", "REPORT_MISMATCH", "label maps"),
        np.load(path, allow_pickle=False) as file,
    ):
        return {name: array_digest(file[name]) for name in file.files}


def object_problems(run: Run) -> list[str]:
    """Return DICOM objects of the run that are not those that were written."""
    rows = run.read(DicomObjects).cases if run.has(DicomObjects) else []
    expected = {
        f"{row.case}.{kind}.dcm": sha256
        for row in rows
        if not row.reason
        for kind, sha256 in (("seg", row.seg), ("sr", row.sr))
    }
    paths = {name: run.objects / name for name in expected}
    return [
        f"objects/{name}: is not the one that was written"
        for name, path in paths.items()
        if not path.is_file() or file_digest(path) != expected[name]
    ]


def differences(where: str, written: Any, fresh: Any) -> list[str]:
    """Return where two documents differ, one line each; numbers may differ by TOLERANCE of their size."""
    if isinstance(written, dict) and isinstance(fresh, dict):
        keys = [*fresh, *(key for key in written if key not in fresh)]
        pairs = [(f"{where}.{key}", written.get(key, MISSING), fresh.get(key, MISSING)) for key in keys]
    elif isinstance(written, list) and isinstance(fresh, list):
        both = zip_longest(written, fresh, fillvalue=MISSING)
        pairs = [(f"{where}[{n}]", a, b) for n, (a, b) in enumerate(both)]
    elif _same(written, fresh):
        return []
    else:
        return [f"{where}: {_short(written)} stands there, the files give {_short(fresh)}"]
    return [problem for pair in pairs for problem in differences(*pair)]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))
    return type(a) is type(b) and a == b


def _short(value: Any) -> str:
    return "nothing" if value is MISSING else json.dumps(value)[:80]


def _without_pictures(content: str | bytes) -> bytes:
    return COMPARED_AS_TEXT.sub(b"", content.encode() if isinstance(content, str) else content)
