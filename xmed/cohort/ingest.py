"""Ingest: a dataset spec's files become a cohort; bad cases go to quarantine with a code while the others go on.

Idempotent and resumable without a journal: an entry's key is the sha256 of the bytes it is read from and of what
affects their reading, so whatever is already there under its key is not read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xmed.cohort.case import Case, Cohort, Refusal
from xmed.cohort.case_reader import Desk, Spread
from xmed.cohort.fetch import fetch
from xmed.cohort.layout import Found, find, passed_over
from xmed.cohort.pseudonymise import pseudonyms
from xmed.cohort.quarantine import Quarantine
from xmed.cohort.splits import assign
from xmed.cohort.store import Store, writing
from xmed.deidentify import Crosswalk, Secret
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.documents import mapping, read_json
from xmed.files.progress import Progress
from xmed.files.sealed_document import is_whole, sealed
from xmed.io.links import Reach
from xmed.io.pacs import retrieve
from xmed.spec import DatasetSpec, MapsSpec, PhantomSpec, Split, load_dataset

SCHEMA = "xmed-dataset/1"
_KEY = re.compile("[0-9a-f]{64}")
Generate = Callable[[PhantomSpec | MapsSpec, Path], None]


def ingest(
    spec: DatasetSpec,
    home: Path,
    *,
    data_root: Path | None = None,
    progress: Progress | None = None,
    generate: Generate | None = None,
    spread: Spread | None = None,
) -> Cohort:
    """Read every case of a dataset into the store below `home`, one on each core, and write the dataset's manifest.

    data_root: a folder in place of the spec's `root`. progress: (what, done, total, note), called for each case.
    generate: writes the phantom or the label maps that a spec asks for when fewer patients than it names are there;
    both stand on a higher floor than ingest, so whoever calls both passes it in. spread: has other machines read.

    Raises XmedError PATH_NOT_FOUND (no such root or folder of `links`; nothing is written), NO_CASES (none found, or
    all refused), DISK_FULL, NOT_WRITABLE, KEY_INVALID.
    """
    root, links = spec.folder(data_root), spec.link_folders()
    if spec.made and generate and (not root.is_dir() or len(find(spec.layout, root, links)) < spec.made.patients):
        generate(spec.made, root)
    if spec.pacs:
        with writing(root):
            retrieve(spec.pacs, root, Secret.find(home)[0].name, progress)
    fetch(spec, root)
    found, split_of = _found(spec, root, links)
    secret = _secret(home, progress)
    found, split_of = pseudonyms(spec, found, split_of, Crosswalk.below(home, secret))
    wanted = [case for case in found if case.patient in split_of]
    store, quarantine = Store(home), Quarantine(home / "quarantine" / spec.name)
    with writing(home):
        store.sweep()
    cases: list[Case] = []
    refusals: list[Refusal] = []
    desk = Desk(spec, Reach(root.resolve(), links), split_of, store, secret)
    with closing(desk.verdicts(wanted, spread)) as verdicts:
        for done, (files, verdict) in enumerate(zip(wanted, verdicts)):
            if progress:
                progress(f"ingest {spec.name}", done, len(wanted), files.case)
            if isinstance(verdict, Case):
                cases.append(verdict)
                quarantine.release(verdict.id)
            else:
                refusals.append(verdict)
                quarantine.hold(verdict)
    quarantine.keep_only([refusal.case for refusal in refusals])
    if progress:
        progress(f"ingest {spec.name}", len(wanted), len(wanted), f"{len(cases)} read, {len(refusals)} in quarantine")
    if not cases:
        raise _nothing(spec, root, links, refusals, quarantine.folder)
    store.flush(desk.written)
    cohort = Cohort(spec, tuple(sorted(cases, key=lambda case: case.id)), tuple(refusals), home, len(found))
    _save(cohort)
    return cohort


def load(name: str, home: Path) -> Cohort:
    """The cohort that ingest wrote, by the dataset's name or its spec's path.

    Raises XmedError PATH_NOT_FOUND, DOCUMENT_INVALID for a manifest that does not say any more what ingest wrote.
    """
    if name.endswith(".json"):
        name = load_dataset(name).name
    stem = Path(name).stem if name.endswith((".yaml", ".yml")) else name
    path = Store(home).dataset(stem)
    do = f"xmed ingest {name}"
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"dataset '{stem}' has no manifest at {path}", "an ingested dataset", do)
    try:
        return _cohort(mapping(read_json(path), str(path)), stem, home)
    except (XmedError, OSError, KeyError, TypeError, ValueError) as problem:
        what = f"the manifest of dataset '{stem}' at {path} is damaged"
        raise XmedError("DOCUMENT_INVALID", what, "what ingest wrote", do) from problem


def _cohort(document: dict[str, Any], name: str, home: Path) -> Cohort:
    """Raises KeyError, TypeError, ValueError where a manifest is damaged. Those of version 0.1.0 have no seal."""
    if document["schema"] != SCHEMA or ("seal" in document and not is_whole(document, name)):
        raise ValueError("not what was sealed")
    spec = DatasetSpec.model_validate(document["spec"])
    cases = tuple(Case(**case) for case in document["cases"])
    refusals = tuple(Refusal(**refusal) for refusal in document["quarantined"])
    keys = [key for case in cases for key in (case.image, case.label) if key is not None]
    if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys):
        raise ValueError("no key of the store")
    cohort = Cohort(spec, cases, refusals, home, int(document["found"]))
    if cohort.fingerprint != document["fingerprint"]:
        raise ValueError("another fingerprint")
    return cohort


def _secret(home: Path, progress: Progress | None) -> Secret:
    secret, made = Secret.find(home)
    if made and progress:
        progress("a new key for pseudonyms", 1, 1, str(made))
    return secret


def _found(spec: DatasetSpec, root: Path, links: tuple[Path, ...]) -> tuple[list[Found], dict[str, Split]]:
    """Every case, also of patients that an explicit split names and no file belongs to; and who is in which split."""
    if not root.is_dir():
        do = "set the variable in root, or pass --data-root"
        raise XmedError("PATH_NOT_FOUND", f"dataset {spec.name}: no folder {root}", "the folder of its files", do)
    found = find(spec.layout, root, links)
    there = {case.patient for case in found}
    split_of = assign(spec.splits, there)
    return found + [Found(patient, patient, (), ()) for patient in sorted(set(split_of) - there)], split_of


def _nothing(
    spec: DatasetSpec, root: Path, links: tuple[Path, ...], refusals: list[Refusal], folder: Path
) -> XmedError:
    shut = len(passed_over(spec.layout, root, links))
    do = f"{shut} links to folders lead out of root: permit where they lead with `links:` in the spec" if shut else ""
    if not refusals:
        layout = " and ".join(pattern for pattern in (spec.layout.image, spec.layout.label) if pattern)
        return XmedError("NO_CASES", f"{spec.name}: no patient of its splits below {root}", f"files like {layout}", do)
    first = refusals[0]
    what = (
        f"{spec.name}: all {len(refusals)} cases refused, the first ({first.case}) with {first.code}: {first.message}"
    )
    return XmedError("NO_CASES", what, "at least one readable case", do or f"see {folder}")


def _save(cohort: Cohort) -> None:
    document = {
        "schema": SCHEMA,
        "spec": cohort.spec.model_dump(mode="json"),
        "fingerprint": cohort.fingerprint,
        "found": cohort.found,
        "cases": [asdict(case) for case in cohort.cases],
        "quarantined": [asdict(refusal) for refusal in cohort.quarantined],
    }
    with writing(cohort.home):
        text = json.dumps(sealed(document, cohort.spec.name), indent=1)
        write_atomically(Store(cohort.home).dataset(cohort.spec.name), text + "\n")
