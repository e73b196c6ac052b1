"""Judge: what xmed answers to a row's files, and whether that is what the row asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from support.corpus import Row
from xmed.cohort import ingest_cases, summarise_cohorts
from xmed.errors import XmedError
from xmed.io import inspect, write_nifti
from xmed.records.record import content
from xmed.spec import DatasetSpec
from xmed.volume import Volume


@dataclass(frozen=True)
class Answer:
    """How many volumes came out, under which codes something was refused or passed over, and what was put right."""

    volumes: int = 0
    codes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def meets(row: Row, answer: Answer) -> bool:
    """Whether an answer is the outcome that the row requires."""
    said = {*answer.codes, *answer.notes}
    if row.outcome in ("error", "quarantine"):
        return answer.volumes == 0 and bool(set(row.codes) & said)
    return answer.volumes == row.volumes and (not row.codes or bool(set(row.codes) & said))


def inspected(row: Row, folder: Path) -> Answer:
    """What `inspect` finds in a row's files."""
    given = row.make(folder) or folder
    try:
        found = inspect(given)
    except XmedError as problem:
        return Answer(codes=(problem.code,))
    return Answer(
        sum(finding.verdict == "ok" for finding in found),
        tuple(sorted({finding.code for finding in found if finding.code})),
        tuple(sorted({note.code for finding in found for note in finding.notes})),
    )


def ingested(row: Row, root: Path) -> tuple[Answer, Answer]:
    """What `ingest_cases` makes of a row's files as one case, and of a good case beside it.

    Which volume is meant, ingest must be told: a row of several is refused here.
    """
    folder = root / "data" / "bad"
    folder.mkdir(parents=True)
    given = (row.make(folder) or folder).relative_to(folder)
    good = root / "data" / "good"
    array = np.random.default_rng(0).integers(1, 4000, (9, 8, 7)).astype(np.int16)
    _write(array, good / given)
    layout = {"image": str("{case}" / given)}
    if row.label:
        layout["label"] = f"{{case}}/{row.label}"
        _write((array > 2000).astype(np.uint8), good / row.label)
    spec = DatasetSpec.model_validate({
        "name": "corpus", "modality": row.modality, "root": str(root / "data"), "layout": layout,
        "labels": {1: {"name": "prostate", "category": "123037004", "type": "41216001"}},
        "splits": {"train": ["bad"], "select": ["good"]},
    })  # fmt: skip
    found = ingest_cases(spec, root / "home")
    answers = dict.fromkeys(("train", "select"), Answer())  # by split: names are pseudonyms by now
    for refusal in found.quarantined:
        answers[refusal.split] = Answer(codes=(refusal.code,))
    for case in content(summarise_cohorts(found, found))["source"]["cases"]:
        answers[case["split"]] = Answer(1, notes=tuple(sorted(note["code"] for note in case["notes"])))
    return answers["train"], answers["select"]


def _write(array: np.ndarray, path: Path) -> None:
    """A good NIfTI under a row's name: what a file holds is not judged by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(Volume(array, np.eye(4)), path)
