"""Read cases into the store, several at once, on this machine or on others that share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore

from xmed.cohort.case import Case, Refusal
from xmed.cohort.case_inputs import DigestFiles, Inputs, read_and_check
from xmed.cohort.layout import Found
from xmed.cohort.pseudonymise import framed_anew, keyed, unnamed
from xmed.cohort.store import Store, writing
from xmed.deidentify import Secret
from xmed.errors import XmedError
from xmed.io.links import LinkPolicy
from xmed.spec import DatasetSpec, Split

MAX_READERS = 8
"""Cases read at once, each of which may need a gibibyte or two."""
WRITERS = 3
"""Cases in hand for each one that is being read: waiting for the disk keeps no core busy, and a disk that is asked to
flush for several at once does it in one go."""
CASES_A_PIECE = 32
"""Of work for another machine: enough that asking for it costs little, few enough that all of them get some."""
Verdict = Case | Refusal


@dataclass(frozen=True)
class Desk:
    """What is done to each case of a dataset. written: the keys of what was put into the store."""

    spec: DatasetSpec
    reach: LinkPolicy
    split_of: dict[str, Split]
    store: Store
    secret: Secret
    readers: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(min(_cores(), MAX_READERS)))
    written: list[str] = field(default_factory=list)

    def verdicts(self, wanted: Sequence[Found], spread: Spread | None = None) -> Generator[Verdict]:
        """On each case, in their order; what is not known yet is read one on each core, or by others."""
        known = [self.known(files) for files in wanted]  # one after another: threads would wait for one another
        missing = [files for files, case in zip(wanted, known) if case is None]
        read = self._spread(missing, spread) if spread else self._here(missing)
        try:
            for case in known:
                yield case or next(read)
        finally:
            read.close()
            self.store.index.close()

    def known(self, files: Found) -> Case | None:
        """The case, where the files are those of an earlier ingest and its entries are whole; no file is opened."""
        try:
            inputs = self._inputs(files, self.store.index.recall)
        except (LookupError, XmedError):
            return None
        return self._case(files, inputs) if self._stored(inputs) else None

    def verdict(self, files: Found) -> Verdict:
        """On one case; its volumes are let go of when this returns."""
        split = self.split_of[files.patient]
        try:
            inputs = self._inputs(files, self.store.index.digest)
            if not self._stored(inputs):
                self._take_in(inputs)
            return self._case(files, inputs)
        except XmedError as problem:
            if problem.code in ("DISK_FULL", "NOT_WRITABLE", "SPEC_INVALID", "KEY_INVALID"):
                raise  # not this case's fault: the next one would fail the same way
            return Refusal(files.case, files.patient, split, problem.code, unnamed(problem, files, self.reach))

    def _here(self, wanted: Sequence[Found]) -> Generator[Verdict]:
        pool = ThreadPoolExecutor(min(_cores(), MAX_READERS) * WRITERS)
        try:
            yield from pool.map(self.verdict, wanted)
        finally:
            pool.shutdown(cancel_futures=True)

    def _spread(self, wanted: Sequence[Found], spread: Spread) -> Generator[Verdict]:
        mark, home = self.secret.name("piece", ""), self.store.home
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)  # by its absence a machine knows that it does not share it
        parts = [wanted[first : first + CASES_A_PIECE] for first in range(0, len(wanted), CASES_A_PIECE)]
        splits = [{case.patient: self.split_of[case.patient] for case in part} for part in parts]
        pieces = [Piece(self.spec, self.reach, split, home, mark, part) for part, split in zip(parts, splits)]
        for verdicts, written in spread(pieces) if pieces else ():
            self.written.extend(written)
            yield from verdicts

    def _inputs(self, files: Found, digest_files: DigestFiles) -> Inputs:
        return Inputs.of(self.spec, self.reach, files, self.split_of[files.patient], digest_files)

    def _stored(self, inputs: Inputs) -> bool:
        return all(self.store.intact(key) for key in (inputs.image_key, inputs.label_key) if key)

    def _case(self, files: Found, inputs: Inputs) -> Case:
        return Case(files.case, files.patient, self.split_of[files.patient], inputs.image_key, inputs.label_key)

    def _take_in(self, inputs: Inputs) -> None:
        with self.readers:
            image, label = read_and_check(self.spec, inputs)
        for key, read in ((inputs.image_key, image), (inputs.label_key, label)):
            if key and read is not None:
                self.store.put(key, framed_anew(read.volume, self.secret), read.notes, keyed(read.facts, self.secret))
                self.written.append(key)


@dataclass(frozen=True)
class Piece:
    """Some cases, for a process that sees the same files and the same home under the same paths.

    mark: what its key for pseudonyms must make of a name; the key itself does not travel.
    """

    spec: DatasetSpec
    reach: LinkPolicy
    split_of: dict[str, Split]
    home: Path
    mark: str
    wanted: Sequence[Found]

    def read(self) -> tuple[list[Verdict], list[str]]:
        """The verdicts, and the keys of what was put into the store.

        Raises XmedError PATH_NOT_FOUND, KEY_INVALID where home, files or key are not those of whoever asked.
        """
        for folder in (self.reach.root, *self.reach.links, self.home):
            if not folder.is_dir():
                do = "mount it on every machine of the cluster"
                raise XmedError("PATH_NOT_FOUND", f"no folder {folder} on {os.uname().nodename}", "a shared folder", do)
        secret, _ = Secret.find(self.home)
        if secret.name("piece", "") != self.mark:
            what = f"another key for pseudonyms on {os.uname().nodename}"
            raise XmedError("KEY_INVALID", what, "the same one everywhere", "set XMED_DEID_KEY alike, or nowhere")
        desk = Desk(self.spec, self.reach, self.split_of, Store(self.home), secret)
        return list(desk.verdicts(self.wanted)), desk.written


Spread = Callable[[Sequence[Piece]], Iterable[tuple[list[Verdict], list[str]]]]
"""Has every piece read somewhere, and returns what came of them in their order."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
