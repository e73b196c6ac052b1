"""De-identify every file below a folder into another folder; a file that cannot be is withheld, with its code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from xmed import __version__
from xmed.deidentify.crosswalk import Crosswalk
from xmed.deidentify.dicom_file import Clean, Policy, clean_dicom
from xmed.deidentify.key import Secret
from xmed.deidentify.nifti_file import clean_nifti
from xmed.errors import CODES, XmedError
from xmed.files.atomic import write_atomically
from xmed.files.progress import Progress
from xmed.io.file_kinds import entries, kind_of, listed
from xmed.io.notes import collected
from xmed.io.sandbox.worker import guarded


@dataclass(frozen=True)
class Withheld:
    """A file that did not leave. file: its pseudonym, which only the crosswalk can turn back into a path."""

    file: str
    code: str
    message: str


@dataclass
class Outcome:
    """What left and what did not. Names nobody. key: where a key was made just now, or None."""

    written: int = 0
    patients: int = 0
    skipped: int = 0
    withheld: list[Withheld] = field(default_factory=list)
    key: str | None = None

    @property
    def codes(self) -> dict[str, int]:
        """How many files were withheld for which reason."""
        return dict(sorted(Counter(one.code for one in self.withheld).items()))


def deidentify(
    source: Path, out: Path, home: Path, policy: Policy | None = None, progress: Progress | None = None
) -> Outcome:
    """Write a de-identified copy of every DICOM image and NIfTI at `source` (a file or folder) below `out`.

    out/<patient>/<series>/<instance>.dcm; for NIfTI, a pseudonym for each part of its path. The same input gives the
    same output under the same key, on every machine. Who is who goes to the crosswalk below `home` and is on the disk
    before the file is. `out`/deidentification.json says what was done. Files of other kinds are skipped.

    Raises XmedError PATH_NOT_FOUND, USAGE (one of the two lies in the other), KEY_INVALID, NOT_WRITABLE.
    """
    files = list(entries(source)) if source.is_dir() else [(path, None) for path in listed(source)]
    below = _apart(source, out)
    policy = policy or Policy()
    secret, made = Secret.find(home)
    crosswalk, outcome = Crosswalk.below(home, secret), Outcome(key=None if made is None else str(made))
    left: dict[str, str] = {}
    for done, (path, problem) in enumerate(files):
        if progress:
            progress("deidentify", done, len(files), "")
        path = path if problem else path.resolve()  # what may not be opened is not followed either
        token = secret.name("path", path.relative_to(below).as_posix())
        known = ("path", token, str(path))
        try:
            if problem:
                raise problem
            clean = _clean(path, below, secret, policy)
            if clean is None:
                outcome.skipped += 1
                continue
            crosswalk.commit([*clean.pairs, known])  # before any pixel of it
            _write(out, clean, left)
            outcome.written += 1
        except XmedError as why:
            if why.code in ("DISK_FULL", "NOT_WRITABLE", "KEY_INVALID"):
                raise  # not this file's fault
            crosswalk.commit([known])
            # The code's own sentence: that of the problem may quote the file.
            outcome.withheld.append(Withheld(token, why.code, CODES[why.code]))
    outcome.patients = len({name.split("/")[0] for name in left if name.endswith(".dcm")})
    _record(out, outcome, policy)
    if progress:
        progress("deidentify", len(files), len(files), f"{outcome.written} written, {len(outcome.withheld)} withheld")
    return outcome


def _apart(source: Path, out: Path) -> Path:
    """The folder that names are told from. Raises XmedError USAGE where input and output lie within each other."""
    below, to = (source if source.is_dir() else source.parent).resolve(), out.resolve()
    if below.is_relative_to(to) or (source.is_dir() and to.is_relative_to(below)):
        raise XmedError("USAGE", f"{out} and {source} lie within each other", "two separate folders")
    return below


def _record(out: Path, outcome: Outcome, policy: Policy) -> None:
    document = {"xmed": __version__, "policy": asdict(policy), **asdict(outcome), "key": None}
    write_atomically(out / "deidentification.json", json.dumps(document, indent=1) + "\n")


def _clean(path: Path, below: Path, secret: Secret, policy: Policy) -> Clean | None:
    kind = kind_of(path)
    with collected():  # what a reader put right matters to who reads the copy
        if kind == "dicom":
            return guarded(clean_dicom, path, secret, policy)
        if kind == "nifti":
            return guarded(clean_nifti, path, below, secret)
    if kind == "picture":
        raise XmedError("DEID_UNSAFE", "a picture that says nothing about its regions", "DICOM or NIfTI")
    return None


def _write(out: Path, clean: Clean, left: dict[str, str]) -> None:
    """The file, whole or not at all. Raises XmedError OUTPUT_EXISTS where another input has taken its name."""
    found = hashlib.sha256(clean.data).hexdigest()
    if left.setdefault(clean.name, found) != found:
        raise XmedError("OUTPUT_EXISTS", "two different files under one identifier", "one file each")
    write_atomically(out / clean.name, clean.data)
