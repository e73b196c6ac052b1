"""Verify: everything in which a report differs from what its files say; nothing is believed because it is written."""

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
from xmed.report.build_report import MANIFEST, artefacts, schema_problems
from xmed.report.compose_report import compose, identity
from xmed.report.edition import older, restated
from xmed.report.sources import Sources
from xmed.run import SIGNOFF, Run, report_at

Document = dict[str, Any]
MISSING = object()
TABLES = ("cases.csv", "protocol.json")
"""Files without a sentence in them: they are the same in every edition."""
COMPARED_AS_TEXT = re.compile(rb"data:[a-z]+/[a-z.+-]+;base64,[A-Za-z0-9+/=]*")
"""Pictures are compared by the contours beside them, not byte by byte: encoders differ between machines."""


def verify(folder: Path) -> list[str]:
    """Every mismatch of a report, one line each; empty when there is none.

    folder: a run's, or its report's: then every number is recomputed from rows.json and its like, files are hashed, the
    page is drawn again. A report's folder that was copied elsewhere is recomputed from its cases.csv as far as that
    goes. Of a report that an older version wrote in other words the numbers are held against the files, and the page
    against the document (see `edition`). A file that is damaged, or of another shape, is a mismatch, too, and the last
    one that is found. Raises XmedError RUN_NOT_FOUND.
    """
    where = report_at(folder)
    problems = list[str]()
    try:
        with documents.guarded(
            "the report, or a file that it was made from,", "REPORT_MISMATCH", "files as xmed writes"
        ):
            for found in _mismatches(where):
                problems += found
    except XmedError as problem:
        if problem.code == "RUN_NOT_FOUND":
            raise
        problems.append(f"{problem.what}: nothing further could be compared")
    return problems


def _mismatches(where: Path) -> Iterator[list[str]]:
    """The same, part by part: what was found before a damaged file ends it is not lost."""
    yield manifest_problems(where)
    written = documents.read_mapping(where / "report.json")
    yield (broken := schema_problems(written))
    if any(line.startswith("report: ") for line in broken):
        return  # keys are missing: nothing below could be read
    if (where / "report.html").is_file():
        yield shown_problems((where / "report.html").read_text(encoding="utf-8"), written)
    run = Run(where.parent)
    if run.has("study") and run.has("rows"):
        yield from _against_run(run, where, written)
        return
    if run.has("study"):  # the run itself, not a copy of its report: without its rows its table proves nothing
        yield ["rows.json: missing, so that the report's numbers cannot be recomputed"]
    yield from _against_table(where, written)


def manifest_problems(folder: Path) -> list[str]:
    """Where a report's folder differs from its manifest: files changed, gone, or added."""
    path = folder / MANIFEST
    if not path.is_file():
        return [f"{MANIFEST}: missing"]
    lines = path.read_text(encoding="utf-8").splitlines()
    listed = {name: sha for sha, _, name in (line.partition("  ") for line in lines if line)}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}
    there -= {MANIFEST, SIGNOFF}
    changed = [n for n in sorted(there & set(listed)) if file_digest(folder / n) != listed[n]]
    return [
        *(f"{name}: is not the file that {MANIFEST} names" for name in changed),
        *(f"{name}: named by {MANIFEST}, and not there" for name in sorted(set(listed) - there)),
        *(f"{name}: there, and not named by {MANIFEST}" for name in sorted(there - set(listed))),
    ]


def _against_run(run: Run, where: Path, written: Document) -> Iterator[list[str]]:
    sources = replace(Sources.of(run), edition=written.get("edition", 1))
    composed = compose(sources)
    fresh = json.loads(json.dumps(composed))
    yield _told_otherwise(written, fresh)
    for name, content in artefacts(run, sources, composed).items():
        if name == "report.json" or (older(written) and name not in TABLES):
            continue
        path = where / name
        if not path.is_file():
            yield [f"{name}: missing"]
        elif _plain(path.read_bytes()) != _plain(content):
            yield [f"{name}: differs from the one that its files give"]
    yield consistency(sources)
    yield made_problems(run, sources)
    yield drawn_problems(run, sources)
    yield object_problems(run)


def _against_table(where: Path, written: Document) -> Iterator[list[str]]:
    """The same from cases.csv and protocol.json, for a report that was copied away from its run."""
    sources = replace(Sources.copied(where), edition=written.get("edition", 1))
    fresh = json.loads(json.dumps(compose(sources)))
    yield _told_otherwise(written, fresh)
    yield consistency(sources)


def _told_otherwise(written: Document, fresh: Document) -> list[str]:
    problems = differences("report", {**written, "report_id": None}, {**restated(fresh, written), "report_id": None})
    if written["report_id"] != identity(written):
        problems.append("report_id: does not match the report's content")
    return problems


def consistency(sources: Sources) -> list[str]:
    """Rows that name a case twice, or one that is no test case, or another patient than the data do."""
    patient = {case["case"]: case["patient"] for case in sources.tested}
    problems, seen = [], set()
    for row in sources.rows:
        key = row["arm"], row["seed"], row["case"], row["structure"]
        if row["case"] not in patient:
            problems.append(f"rows: {row['case']} is no labelled test case of the target")
        elif row["patient"] != patient[row["case"]]:
            problems.append(f"rows: {row['case']} is of {patient[row['case']]}, not of {row['patient']}")
        if key in seen:
            problems.append(
                f"rows: {row['arm']}, seed {row['seed']}, {row['case']}, {row['structure']} stands there twice"
            )
        seen.add(key)
    return list(dict.fromkeys(problems))


def made_problems(run: Run, sources: Sources) -> list[str]:
    """Models that are there and are not those that were trained: the numbers are of others."""
    problems = []
    for one in sources.trained:
        folder = run.arm(one["arm"], one["seed"]) / "model"
        if "model_sha256" in one and folder.is_dir() and folder_digest(folder) != one["model_sha256"]:
            problems.append(f"{one['arm']}, seed {one['seed']}: the model is not the one that was trained")
    return problems


def drawn_problems(run: Run, sources: Sources) -> list[str]:
    """Kept predictions that are not those that were measured: swapped, flipped, edited or gone."""
    problems = []
    for arm, seed in run.arms():
        path, mine = (
            run.arm(arm, seed) / "labels.npz",
            [r for r in sources.rows if (r["arm"], r["seed"]) == (arm, seed)],
        )
        expected = {row["case"]: row["prediction_sha256"] for row in mine if row.get("prediction_sha256")}
        if not expected:
            continue
        found: dict[str, str] = {}
        if path.is_file():
            with (
                documents.guarded(f"{arm}, seed {seed}: {path.name}", "REPORT_MISMATCH", "label maps"),
                np.load(path, allow_pickle=False) as file,
            ):
                found = {name: array_digest(file[name]) for name in file.files}
        for case, sha in expected.items():
            name = f"case.{case}"
            if name not in found:
                problems.append(f"{arm}, seed {seed}, {case}: the prediction that was measured is gone")
            elif found[name] != sha:
                problems.append(f"{arm}, seed {seed}, {case}: the prediction is not the one that was measured")
    return problems


def object_problems(run: Run) -> list[str]:
    """DICOM objects that are not those that were written."""
    rows = run.read("objects")["cases"] if run.has("objects") else []
    named = {f"{row['case']}.{kind}.dcm": row[kind] for row in rows if not row["reason"] for kind in ("seg", "sr")}
    paths = {name: run.objects / name for name in named}
    return [
        f"objects/{name}: is not the one that was written"
        for name, path in paths.items()
        if not path.is_file() or file_digest(path) != named[name]
    ]


def differences(where: str, written: Any, fresh: Any) -> list[str]:
    """Where two documents differ, one line each; numbers may differ by 1e-12 of their size."""
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
        return abs(a - b) <= 1e-12 * max(1.0, abs(a), abs(b))
    return type(a) is type(b) and a == b


def _short(value: Any) -> str:
    return "nothing" if value is MISSING else json.dumps(value)[:80]


def _plain(content: str | bytes) -> bytes:
    return COMPARED_AS_TEXT.sub(b"", content.encode() if isinstance(content, str) else content)
