"""Pseudonymise: what keeps names that stand in folder names, file names and headers out of everything ingest writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from xmed.cohort.layout import CaseFiles
from xmed.deidentify import Crosswalk, Secret
from xmed.deidentify.allowed_attributes import VENDORS
from xmed.errors import XmedError
from xmed.io.file_kinds import entries
from xmed.io.links import Reach
from xmed.spec import DatasetSpec, FractionSplits, Split
from xmed.volume import Volume

_NUMBER = re.compile(r"\d{1,5}")
"""A name of a file that is too short a number to be anybody's, and too common in sentences to be looked for."""


def pseudonymise_cases(
    spec: DatasetSpec, found: list[CaseFiles], split_of: dict[str, Split], crosswalk: Crosswalk
) -> tuple[list[CaseFiles], dict[str, Split]]:
    """The same cases and partitions under the ids that ingest writes.

    Ids that a spec names are its writer's own. Where it names nobody, but lets a share of whoever is there be drawn,
    ids come from folder and file names: they become keyed pseudonyms, and who is who goes to the crosswalk first,
    unless the spec's `pseudonyms` says otherwise. What xmed made, or fetched under pseudonyms, keeps its names.

    Raises XmedError KEY_INVALID, NOT_WRITABLE.
    """
    drawn = isinstance(spec.splits, FractionSplits) and not (spec.made or spec.pacs or spec.files)
    if not (drawn if spec.pseudonyms is None else spec.pseudonyms):
        return found, split_of
    secret = crosswalk.secret
    cases = {files.case: secret.name("case", files.case) for files in found}
    patients = {files.patient: secret.name("patient", files.patient) for files in found}
    pairs = [(kind, new, old) for kind, names in (("case", cases), ("patient", patients)) for old, new in names.items()]
    crosswalk.commit(pairs)
    renamed = [replace(files, case=cases[files.case], patient=patients[files.patient]) for files in found]
    return renamed, {patients[patient]: split for patient, split in split_of.items()}


def message_without_names(problem: XmedError, files: CaseFiles, reach: Reach) -> str:
    """What a refusal says, with the place in the case's sorted files instead of their names."""
    parts = (problem.what, problem.expected, problem.do)
    text = " · ".join(" ".join(part.split()) for part in parts if part)
    paths = sorted(path for outer in (*files.image, *files.label) for path in _files(outer, reach))
    spoken = {name: f"file {n} of {len(paths)}" for n, path in enumerate(paths, 1) for name in (str(path), path.name)}
    spoken |= {name: "its folder" for outer in (*files.image, *files.label) for name in (str(outer), outer.name)
               if outer.is_dir()}  # fmt: skip
    names = sorted((name for name in spoken if not _NUMBER.fullmatch(name)), key=len, reverse=True)
    if not names:
        return text
    return re.sub("|".join(map(re.escape, names)), lambda match: spoken[match.group()], text)


def with_keyed_frame(volume: Volume, secret: Secret) -> Volume:
    """The volume with a keyed Frame of Reference UID: the original one finds the patient's study in an archive."""
    return replace(volume, frame=secret.uid(volume.frame)) if volume.frame else volume


def keyed_metadata(facts: dict[str, str], secret: Secret) -> dict[str, str]:
    """The facts of a header as ingest keeps them.

    UIDs of study and series as keyed digests: equal where they were, and of no other use. Of the manufacturer only the
    word of a vendor that everybody knows: in free text anything may stand.
    """
    out = {name: secret.name(name, text) if name in ("study", "series") else text for name, text in facts.items()}
    words = set(re.findall(r"[A-Z]+", out.pop("vendor", "").upper()))
    vendor = next((word for word in sorted(VENDORS) if word in words), None)
    return out | ({"vendor": vendor} if vendor else {})


def _files(path: Path, reach: Reach) -> Iterator[Path]:
    if path.is_dir():
        with suppress(XmedError):  # a tree without end, of whose files its refusal names none
            yield from (inner for inner, _ in entries(path, reach))  # unsafe ones, too: their refusals name them
    else:
        yield path
