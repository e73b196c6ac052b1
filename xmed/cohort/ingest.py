"""Ingest: a dataset spec's files become a cohort; bad cases go to quarantine with a code while the others go on.

Idempotent and resumable without a journal: an entry's key is the sha256 of the bytes it is read from and of what
affects their reading, so whatever is already there under its key is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from xmed.cohort.case import Case, Cohort, Refusal
from xmed.cohort.layout import Found, find
from xmed.cohort.quarantine import Quarantine
from xmed.cohort.reading import Inputs, read_and_check
from xmed.cohort.splits import assign
from xmed.cohort.store import Store, writing
from xmed.errors import XmedError
from xmed.run import write_atomically
from xmed.spec import DatasetSpec, MapsSpec, PhantomSpec, Split

Progress = Callable[[str, int, int, str], None]
Generate = Callable[[PhantomSpec | MapsSpec, Path], None]


def ingest(
    spec: DatasetSpec,
    home: Path,
    *,
    data_root: Path | None = None,
    progress: Progress | None = None,
    generate: Generate | None = None,
) -> Cohort:
    """Read every case of a dataset into the store below `home`, one at a time, and write the dataset's manifest.

    data_root: a folder in place of the spec's `root`. progress: (what, done, total, note), called for each case.
    generate: writes the phantom or the label maps that a spec asks for when fewer patients than it names are there;
    both stand on a higher floor than ingest, so whoever calls both passes it in.

    Raises XmedError PATH_NOT_FOUND (no such root; nothing is written), NO_CASES (none found, or all refused),
    DISK_FULL, NOT_WRITABLE.
    """
    root = spec.folder(data_root)
    if spec.made and generate and (not root.is_dir() or len(find(spec.layout, root)) < spec.made.patients):
        generate(spec.made, root)
    found, split_of = _found(spec, root)
    wanted = [case for case in found if case.patient in split_of]
    store, quarantine = Store(home), Quarantine(home / "quarantine" / spec.name)
    with writing(home):
        store.sweep()
    cases: list[Case] = []
    refusals: list[Refusal] = []
    for done, files in enumerate(wanted):
        if progress:
            progress(f"ingest {spec.name}", done, len(wanted), files.case)
        verdict = _one(spec, root, files, split_of[files.patient], store)
        if isinstance(verdict, Case):
            cases.append(verdict)
            quarantine.release(verdict.id)
        else:
            refusals.append(verdict)
            quarantine.hold(verdict, [*files.image, *files.label])
    quarantine.keep_only([refusal.case for refusal in refusals])
    if progress:
        progress(f"ingest {spec.name}", len(wanted), len(wanted), f"{len(cases)} read, {len(refusals)} in quarantine")
    if not cases:
        raise _nothing(spec, root, refusals, quarantine.folder)
    cohort = Cohort(spec, tuple(sorted(cases, key=lambda case: case.id)), tuple(refusals), home, len(found))
    _save(cohort)
    return cohort


def load(name: str, home: Path) -> Cohort:
    """The cohort that ingest wrote, by the dataset's name or its spec's path. Raises XmedError PATH_NOT_FOUND."""
    stem = Path(name).stem if name.endswith((".yaml", ".yml")) else name
    path = Store(home).dataset(stem)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        do = f"xmed ingest {name}"
        raise XmedError(
            "PATH_NOT_FOUND", f"dataset '{stem}' has no manifest at {path}", "an ingested dataset", do
        ) from problem
    spec = DatasetSpec.model_validate(document["spec"])
    cases = tuple(Case(**case) for case in document["cases"])
    refusals = tuple(Refusal(**refusal) for refusal in document["quarantined"])
    return Cohort(spec, cases, refusals, home, document["found"])


def _found(spec: DatasetSpec, root: Path) -> tuple[list[Found], dict[str, Split]]:
    """Every case, also of patients that an explicit split names and no file belongs to; and who is in which split."""
    if not root.is_dir():
        do = "set the variable in root, or pass --data-root"
        raise XmedError("PATH_NOT_FOUND", f"dataset {spec.name}: no folder {root}", "the folder of its files", do)
    found = find(spec.layout, root)
    there = {case.patient for case in found}
    split_of = assign(spec.splits, there)
    return found + [Found(patient, patient, (), ()) for patient in sorted(set(split_of) - there)], split_of


def _one(spec: DatasetSpec, root: Path, files: Found, split: Split, store: Store) -> Case | Refusal:
    """The verdict on one case; its volumes are let go of when this returns."""
    try:
        inputs = Inputs.of(spec, root, files, split)
        if not all(store.intact(key) for key in (inputs.image_key, inputs.label_key) if key):
            image, label = read_and_check(spec, inputs)
            for key, volume in ((inputs.image_key, image), (inputs.label_key, label)):
                if key and volume is not None:
                    store.put(key, volume)
        return Case(files.case, files.patient, split, inputs.image_key, inputs.label_key)
    except XmedError as problem:
        if problem.code in ("DISK_FULL", "NOT_WRITABLE", "SPEC_INVALID"):
            raise  # not this case's fault: the next one would fail the same way
        parts = (problem.what, problem.expected, problem.do)
        message = " · ".join(" ".join(part.split()) for part in parts if part)
        return Refusal(files.case, files.patient, split, problem.code, message)


def _nothing(spec: DatasetSpec, root: Path, refusals: list[Refusal], folder: Path) -> XmedError:
    if not refusals:
        layout = " and ".join(pattern for pattern in (spec.layout.image, spec.layout.label) if pattern)
        return XmedError("NO_CASES", f"{spec.name}: no patient of its splits below {root}", f"files like {layout}")
    first = refusals[0]
    what = (
        f"{spec.name}: all {len(refusals)} cases refused, the first ({first.case}) with {first.code}: {first.message}"
    )
    return XmedError("NO_CASES", what, "at least one readable case", f"see {folder}")


def _save(cohort: Cohort) -> None:
    document = {
        "schema": "xmed-dataset/1",
        "spec": cohort.spec.model_dump(mode="json"),
        "fingerprint": cohort.fingerprint,
        "found": cohort.found,
        "cases": [asdict(case) for case in cohort.cases],
        "quarantined": [asdict(refusal) for refusal in cohort.quarantined],
    }
    with writing(cohort.home):
        write_atomically(Store(cohort.home).dataset(cohort.spec.name), json.dumps(document, indent=1) + "\n")
