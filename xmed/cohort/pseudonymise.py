"""Pseudonymise: keeps names from folders, files and headers out of everything that ingest writes."""

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
from xmed.io.file_kinds import walk_with_problems
from xmed.io.links import LinkPolicy
from xmed.spec import DatasetSpec, FractionSplits, Split
from xmed.volume import Volume

_NUMBER = re.compile(r"\d{1,5}")
"""A file name that is a short number identifies nobody, and occurs too often in sentences to be replaced."""


def pseudonymise_cases(
    spec: DatasetSpec, on_disk: list[CaseFiles], split_of: dict[str, Split], crosswalk: Crosswalk
) -> tuple[list[CaseFiles], dict[str, Split]]:
    """Replace case and patient ids that come from folder and file names by keyed pseudonyms.

    Ids that a spec lists in its splits were chosen by its author and stay. Where a spec only gives fractions, ids come
    from folder and file names: they become pseudonyms, and the crosswalk is written first. The spec's `pseudonyms`
    overrides this. Data that xmed generated, or fetched under pseudonyms, keep their names.

    Args:
        spec: The dataset spec.
        on_disk: The files of each case.
        split_of: Patient → partition.
        crosswalk: Takes the pairs of pseudonym and original.

    Returns:
        The same cases and partitions under the ids that ingest writes.

    Raises:
        XmedError: KEY_INVALID, NOT_WRITABLE.
    """
    drawn = isinstance(spec.splits, FractionSplits) and not (spec.made or spec.pacs or spec.files)
    if not (drawn if spec.pseudonyms is None else spec.pseudonyms):
        return on_disk, split_of
    secret = crosswalk.secret
    cases = {files.case: secret.name("case", files.case) for files in on_disk}
    patients = {files.patient: secret.name("patient", files.patient) for files in on_disk}
    pairs = [(kind, new, old) for kind, names in (("case", cases), ("patient", patients)) for old, new in names.items()]
    crosswalk.commit(pairs)
    renamed = [replace(files, case=cases[files.case], patient=patients[files.patient]) for files in on_disk]
    return renamed, {patients[patient]: split for patient, split in split_of.items()}


def message_without_names(problem: XmedError, files: CaseFiles, reach: LinkPolicy) -> str:
    """The text of an error in which file names are replaced by their position among the case's sorted files."""
    parts = (problem.what, problem.expected, problem.do)
    text = " · ".join(" ".join(part.split()) for part in parts if part)
    paths = sorted(path for outer in (*files.image, *files.label) for path in _files(outer, reach))
    shown_as = {name: f"file {n} of {len(paths)}" for n, path in enumerate(paths, 1) for name in (str(path), path.name)}
    shown_as |= {name: "its folder" for outer in (*files.image, *files.label) for name in (str(outer), outer.name)
               if outer.is_dir()}  # fmt: skip
    names = sorted((name for name in shown_as if not _NUMBER.fullmatch(name)), key=len, reverse=True)
    if not names:
        return text
    return re.sub("|".join(map(re.escape, names)), lambda match: shown_as[match.group()], text)


def with_keyed_frame(volume: Volume, secret: Secret) -> Volume:
    """The volume with a keyed Frame of Reference UID; the original UID would lead to the study in an archive."""
    return replace(volume, frame=secret.uid(volume.frame)) if volume.frame else volume


def keyed_metadata(facts: dict[str, str], secret: Secret) -> dict[str, str]:
    """Header metadata in the form that ingest stores.

    UIDs of study and series become keyed digests, which are equal where the UIDs were equal. Of the manufacturer only
    the name of a well-known vendor is kept, because free text may contain anything.
    """
    keyed = {name: secret.name(name, text) if name in ("study", "series") else text for name, text in facts.items()}
    words = set(re.findall(r"[A-Z]+", keyed.pop("vendor", "").upper()))
    vendor = next((word for word in sorted(VENDORS) if word in words), None)
    return keyed | ({"vendor": vendor} if vendor else {})


def _files(path: Path, reach: LinkPolicy) -> Iterator[Path]:
    if path.is_dir():
        with suppress(XmedError):  # too many files: the error names none of them
            yield from (
                inner for inner, _ in walk_with_problems(path, reach)
            )  # unsafe files as well: their errors name them
    else:
        yield path
