"""Deidentify folder: de-identifies every file below a folder; a file that cannot be is withheld, with a code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from xmed import __version__
from xmed.deidentify.dicom_file import CleanFile, Policy, clean_dicom
from xmed.deidentify.key import Crosswalk, Secret
from xmed.deidentify.nifti_file import clean_nifti
from xmed.errors import CODES, XmedError
from xmed.files.atomic import write_atomically
from xmed.files.progress import Progress
from xmed.io.file_kinds import file_kind, list_files, walk_with_problems
from xmed.io.notes import collect_notes
from xmed.io.sandbox.worker import run_in_sandbox


@dataclass(frozen=True)
class Withheld:
    """A file that was not copied. file: the pseudonym of its path, which only the crosswalk resolves."""

    file: str
    code: str
    message: str


@dataclass
class Outcome:
    """What was copied and what was withheld, without names.

    Attributes:
        written: Number of files written.
        patients: Number of patients in the output.
        skipped: Number of files of other kinds.
        withheld: The files that were not copied.
        key: The path of the key if it was created by this run, or None.
    """

    written: int = 0
    patients: int = 0
    skipped: int = 0
    withheld: list[Withheld] = field(default_factory=list)
    key: str | None = None

    @property
    def codes(self) -> dict[str, int]:
        """Error code → number of files withheld with it."""
        return dict(sorted(Counter(file.code for file in self.withheld).items()))


def deidentify_files(
    source: Path, out: Path, home: Path, policy: Policy | None = None, progress: Progress | None = None
) -> Outcome:
    """Write a de-identified copy of every DICOM image and NIfTI at `source` (a file or folder) below `out`.

    DICOM files become out/<patient>/<series>/<instance>.dcm; for NIfTI each part of the path becomes a pseudonym. The
    same input and key give the same output on every machine. The crosswalk below `home` is written to the disk before
    each file. `out`/deidentification.json records what was done. Files of other kinds are skipped.

    Args:
        source: A file or folder.
        out: The output folder.
        home: The home that holds key and crosswalk.
        policy: Decisions about colour flow, burned-in text and faces; by default such files are withheld.
        progress: Called for each file.

    Returns:
        What was copied and what was withheld.

    Raises:
        XmedError: PATH_NOT_FOUND, USAGE (one folder lies within the other), KEY_INVALID, NOT_WRITABLE, DISK_FULL.
    """
    files = list(walk_with_problems(source)) if source.is_dir() else [(path, None) for path in list_files(source)]
    below = _root_of(source, out)
    policy = policy or Policy()
    secret, new_key = Secret.find(home)
    crosswalk, outcome = Crosswalk.below(home, secret), Outcome(key=None if new_key is None else str(new_key))
    digests: dict[str, str] = {}
    for done, (path, problem) in enumerate(files):
        if progress:
            progress("deidentify", done, len(files), "")
        path = path if problem else path.resolve()  # a link that may not be opened is not resolved
        token = secret.name("path", path.relative_to(below).as_posix())
        path_pair = ("path", token, str(path))
        try:
            if problem:
                raise problem
            clean = _clean(path, below, secret, policy)
            if clean is None:
                outcome.skipped += 1
                continue
            crosswalk.commit([*clean.pairs, path_pair])  # before the file itself
            _write(out, clean, digests)
            outcome.written += 1
        except XmedError as why:
            if why.code in ("DISK_FULL", "NOT_WRITABLE", "KEY_INVALID"):
                raise  # every other file would meet it as well
            crosswalk.commit([path_pair])
            # The meaning of the code, because the message of the error may quote the file.
            outcome.withheld.append(Withheld(token, why.code, CODES[why.code]))
    outcome.patients = len({name.split("/")[0] for name in digests if name.endswith(".dcm")})
    _record(out, outcome, policy)
    if progress:
        progress("deidentify", len(files), len(files), f"{outcome.written} written, {len(outcome.withheld)} withheld")
    return outcome


def _root_of(source: Path, out: Path) -> Path:
    """The folder that paths are relative to; USAGE if input and output lie within each other."""
    below, to = (source if source.is_dir() else source.parent).resolve(), out.resolve()
    if below.is_relative_to(to) or (source.is_dir() and to.is_relative_to(below)):
        raise XmedError("USAGE", f"{out} and {source} lie within each other", "two separate folders")
    return below


def _record(out: Path, outcome: Outcome, policy: Policy) -> None:
    document = {"xmed": __version__, "policy": asdict(policy), **asdict(outcome), "key": None}
    write_atomically(out / "deidentification.json", json.dumps(document, indent=1) + "\n")


def _clean(path: Path, below: Path, secret: Secret, policy: Policy) -> CleanFile | None:
    kind = file_kind(path)
    with collect_notes():  # the readers of the copy report the repairs again
        if kind == "dicom":
            return run_in_sandbox(clean_dicom, path, secret, policy)
        if kind == "nifti":
            return run_in_sandbox(clean_nifti, path, below, secret)
    if kind == "picture":
        raise XmedError("DEID_UNSAFE", "a picture that says nothing about its regions", "DICOM or NIfTI")
    return None


def _write(out: Path, clean: CleanFile, digests: dict[str, str]) -> None:
    """Write the file atomically; OUTPUT_EXISTS if another input already has its name."""
    digest = hashlib.sha256(clean.data).hexdigest()
    if digests.setdefault(clean.name, digest) != digest:
        raise XmedError("OUTPUT_EXISTS", "two different files under one identifier", "one file each")
    write_atomically(out / clean.name, clean.data)
