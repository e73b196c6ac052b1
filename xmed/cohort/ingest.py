"""Ingest: reads the files of a dataset spec into a cohort; unreadable cases go to quarantine with an error code.

It can be repeated and resumed without a journal: the key of a store entry is the sha256 of the bytes it is read from
and of every setting that affects the reading, so an entry that exists under its key is not read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xmed.cohort.case import Case, Cohort, QuarantinedCase, assign_splits
from xmed.cohort.case_reader import CaseReader, ReadShards
from xmed.cohort.fetch import fetch_files
from xmed.cohort.layout import CaseFiles, find_cases, linked_folders_outside
from xmed.cohort.pseudonymise import pseudonymise_cases
from xmed.cohort.quarantine import Quarantine
from xmed.cohort.store import Store, naming_disk_errors
from xmed.deidentify import Crosswalk, Secret
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.digest import is_intact, seal_document
from xmed.files.documents import mapping, read_json
from xmed.files.progress import Progress
from xmed.home import Home
from xmed.io.links import LinkPolicy
from xmed.io.pacs import retrieve
from xmed.spec import DatasetSpec, MapsSpec, PhantomSpec, Split, load_dataset

SCHEMA = "xmed-dataset/1"
_KEY = re.compile("[0-9a-f]{64}")
GenerateData = Callable[[PhantomSpec | MapsSpec, Path], None]
"""Writes the phantom or the label maps that a spec asks for into a folder."""


def ingest_cases(
    spec: DatasetSpec,
    home: Path,
    *,
    data_root: Path | None = None,
    progress: Progress | None = None,
    generate: GenerateData | None = None,
    read_shards: ReadShards | None = None,
) -> Cohort:
    """Read every case of a dataset into the store below `home`, one per core, and write the dataset's manifest.

    Args:
        spec: The dataset spec.
        home: The home whose store takes the volumes.
        data_root: A folder in place of the spec's `root`.
        progress: Called for each case.
        generate: Writes the phantom or the label maps that a spec asks for, when fewer patients than it names are
            present. Both are made on a higher floor than this one, so the caller passes the function in.
        read_shards: Has the cases read by other machines; None reads them here.

    Returns:
        The cohort: readable cases and quarantined ones.

    Raises:
        XmedError: PATH_NOT_FOUND (no such root or folder of `links`; nothing is written), NO_CASES (none found, or all
            refused), DISK_FULL, NOT_WRITABLE, KEY_INVALID, FETCH_FAILED, FETCH_MISMATCH.
    """
    root, links = spec.folder(data_root), spec.link_folders()
    if spec.made and generate and (not root.is_dir() or len(find_cases(spec.layout, root, links)) < spec.made.patients):
        generate(spec.made, root)
    if spec.pacs:
        with naming_disk_errors(root):
            retrieve(spec.pacs, root, Secret.find(home)[0].name, progress)
    fetch_files(spec, root)
    on_disk, split_of = _find_all(spec, root, links)
    secret = _find_secret(home, progress)
    on_disk, split_of = pseudonymise_cases(spec, on_disk, split_of, Crosswalk.below(home, secret))
    in_splits = [files for files in on_disk if files.patient in split_of]
    store, quarantine = Store(home), Quarantine(Home(home).quarantine / spec.name)
    with naming_disk_errors(home):
        store.sweep()
    reader = CaseReader(spec, LinkPolicy(root.resolve(), links), split_of, store, secret)
    cases, refused = _read_all(reader, in_splits, quarantine, read_shards, progress)
    if not cases:
        raise _no_cases(spec, root, links, refused, quarantine.folder)
    store.flush(reader.written)
    cohort = Cohort(spec, tuple(sorted(cases, key=lambda case: case.id)), tuple(refused), home, len(on_disk))
    _save(cohort)
    return cohort


def _read_all(
    reader: CaseReader,
    files_of_cases: list[CaseFiles],
    quarantine: Quarantine,
    read_shards: ReadShards | None,
    progress: Progress | None,
) -> tuple[list[Case], list[QuarantinedCase]]:
    """Read the cases and keep the quarantine up to date; returns the readable and the refused ones."""
    cases: list[Case] = []
    refused: list[QuarantinedCase] = []
    what = f"ingest {reader.spec.name}"
    with closing(reader.read_cases(files_of_cases, read_shards)) as results:
        for done, (files, result) in enumerate(zip(files_of_cases, results)):
            if progress:
                progress(what, done, len(files_of_cases), files.case)
            if isinstance(result, Case):
                cases.append(result)
                quarantine.release(result.id)
            else:
                refused.append(result)
                quarantine.hold(result)
    quarantine.keep_only([case.case for case in refused])
    if progress:
        progress(what, len(files_of_cases), len(files_of_cases), f"{len(cases)} read, {len(refused)} in quarantine")
    return cases, refused


def load_cohort(name: str, home: Path) -> Cohort:
    """Load the cohort that ingest wrote.

    Args:
        name: The dataset's name, or the path of its spec.
        home: The home that it was ingested into.

    Returns:
        The cohort.

    Raises:
        XmedError: PATH_NOT_FOUND, or DOCUMENT_INVALID for a manifest that was changed since ingest wrote it.
    """
    if name.endswith(".json"):
        name = load_dataset(name).name
    stem = Path(name).stem if name.endswith((".yaml", ".yml")) else name
    path = Store(home).dataset(stem)
    do = f"xmed ingest {name}"
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"dataset '{stem}' has no manifest at {path}", "an ingested dataset", do)
    try:
        return _parse_manifest(mapping(read_json(path), str(path)), stem, home)
    except (XmedError, OSError, KeyError, TypeError, ValueError) as problem:
        what = f"the manifest of dataset '{stem}' at {path} is damaged"
        raise XmedError("DOCUMENT_INVALID", what, "what ingest wrote", do) from problem


def _parse_manifest(document: dict[str, Any], name: str, home: Path) -> Cohort:
    """The cohort of a manifest; KeyError, TypeError or ValueError for a damaged one. Version 0.1.0 wrote no seal."""
    if document["schema"] != SCHEMA or ("seal" in document and not is_intact(document, name)):
        raise ValueError("not what was sealed")
    spec = DatasetSpec.model_validate(document["spec"])
    cases = tuple(Case(**case) for case in document["cases"])
    quarantined = tuple(QuarantinedCase(**refused) for refused in document["quarantined"])
    keys = [key for case in cases for key in (case.image, case.label) if key is not None]
    if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys):
        raise ValueError("no key of the store")
    cohort = Cohort(spec, cases, quarantined, home, int(document["found"]))
    if cohort.fingerprint != document["fingerprint"]:
        raise ValueError("another fingerprint")
    return cohort


def _find_secret(home: Path, progress: Progress | None) -> Secret:
    secret, new_file = Secret.find(home)
    if new_file and progress:
        progress("a new key for pseudonyms", 1, 1, str(new_file))
    return secret


def _find_all(spec: DatasetSpec, root: Path, links: tuple[Path, ...]) -> tuple[list[CaseFiles], dict[str, Split]]:
    """Every case, one also for each patient whom a split names and no file belongs to; and patient → partition."""
    if not root.is_dir():
        do = "set the variable in root, or pass --data-root"
        raise XmedError("PATH_NOT_FOUND", f"dataset {spec.name}: no folder {root}", "the folder of its files", do)
    on_disk = find_cases(spec.layout, root, links)
    patients = {files.patient for files in on_disk}
    split_of = assign_splits(spec.splits, patients)
    without_files = [CaseFiles(patient, patient, (), ()) for patient in sorted(set(split_of) - patients)]
    return on_disk + without_files, split_of


def _no_cases(
    spec: DatasetSpec, root: Path, links: tuple[Path, ...], refused: list[QuarantinedCase], folder: Path
) -> XmedError:
    outside = len(linked_folders_outside(spec.layout, root, links))
    do = (
        f"{outside} links to folders lead out of root: permit where they lead with `links:` in the spec"
        if outside
        else ""
    )
    if not refused:
        layout = " and ".join(pattern for pattern in (spec.layout.image, spec.layout.label) if pattern)
        return XmedError("NO_CASES", f"{spec.name}: no patient of its splits below {root}", f"files like {layout}", do)
    first = refused[0]
    what = f"{spec.name}: all {len(refused)} cases refused, the first ({first.case}) with {first.code}: {first.message}"
    return XmedError("NO_CASES", what, "at least one readable case", do or f"see {folder}")


def _save(cohort: Cohort) -> None:
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "spec": cohort.spec.model_dump(mode="json"),
        "fingerprint": cohort.fingerprint,
        "found": cohort.n_found,
        "cases": [asdict(case) for case in cohort.cases],
        "quarantined": [asdict(refusal) for refusal in cohort.quarantined],
    }
    with naming_disk_errors(cohort.home):
        text = json.dumps(seal_document(document, cohort.spec.name), indent=1)
        write_atomically(Store(cohort.home).dataset(cohort.spec.name), text + "\n")
