"""Case reader: reads the cases of a dataset into the store, several at once, here or on other machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore

from xmed.cohort.case import Case, QuarantinedCase
from xmed.cohort.case_inputs import CaseInputs, DigestFunction, read_and_check
from xmed.cohort.layout import CaseFiles
from xmed.cohort.pseudonymise import keyed_metadata, message_without_names, with_keyed_frame
from xmed.cohort.store import Store, naming_disk_errors
from xmed.deidentify import Secret
from xmed.errors import XmedError
from xmed.io.links import LinkPolicy
from xmed.spec import DatasetSpec, Split

MAX_READERS = 8
"""Cases read at once, each of which may need one or two gibibytes of memory."""
CASES_PER_READER = 3
"""Cases in progress for each one that is being read: while some wait for the disk, no core is idle, and a disk that
has several writes to flush does them in one go."""
CASES_PER_SHARD = 32
"""Enough cases that asking another machine for them costs little, few enough that every machine gets some."""
ReadResult = Case | QuarantinedCase
"""What reading a case ends with."""


@dataclass(frozen=True)
class CaseReader:
    """Reads the cases of one dataset.

    Attributes:
        spec: The dataset spec.
        reach: The folders that the dataset's files and links may lie in.
        split_of: Patient → partition.
        store: The store that volumes are written to.
        secret: The key for pseudonyms.
        readers: Limits how many cases are read at once.
        written: The keys of the entries that were written, in the order of writing.
    """

    spec: DatasetSpec
    reach: LinkPolicy
    split_of: dict[str, Split]
    store: Store
    secret: Secret
    readers: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(min(_cores(), MAX_READERS)))
    written: list[str] = field(default_factory=list)

    def read_cases(self, cases: Sequence[CaseFiles], read_shards: ReadShards | None = None) -> Generator[ReadResult]:
        """Read cases and yield a result for each, in their order.

        A case that the store holds already is not read again.

        Args:
            cases: The files of each case.
            read_shards: Has shards of cases read by other machines; None reads one case per core here.
        """
        stored = [self.stored_case(files) for files in cases]  # one after another: threads would wait for one another
        missing = [files for files, case in zip(cases, stored) if case is None]
        results = self._read_elsewhere(missing, read_shards) if read_shards else self._read_here(missing)
        try:
            for case in stored:
                yield case or next(results)
        finally:
            results.close()
            self.store.index.close()

    def stored_case(self, files: CaseFiles) -> Case | None:
        """The case, if its files are those of an earlier ingest and its store entries are intact; opens no file."""
        try:
            inputs = self._inputs(files, self.store.index.recall)
        except (LookupError, XmedError):
            return None
        return self._case(files, inputs) if self._is_stored(inputs) else None

    def read_case(self, files: CaseFiles) -> ReadResult:
        """Read one case into the store; its volumes are released when this returns.

        Raises:
            XmedError: DISK_FULL, NOT_WRITABLE, SPEC_INVALID, KEY_INVALID, which every other case would meet as well.
        """
        split = self.split_of[files.patient]
        try:
            inputs = self._inputs(files, self.store.index.digest)
            if not self._is_stored(inputs):
                self._read_into_store(inputs)
            return self._case(files, inputs)
        except XmedError as problem:
            if problem.code in ("DISK_FULL", "NOT_WRITABLE", "SPEC_INVALID", "KEY_INVALID"):
                raise
            message = message_without_names(problem, files, self.reach)
            return QuarantinedCase(files.case, files.patient, split, problem.code, message)

    def _read_here(self, cases: Sequence[CaseFiles]) -> Generator[ReadResult]:
        pool = ThreadPoolExecutor(min(_cores(), MAX_READERS) * CASES_PER_READER)
        try:
            yield from pool.map(self.read_case, cases)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read_elsewhere(self, cases: Sequence[CaseFiles], read_shards: ReadShards) -> Generator[ReadResult]:
        key_check, home = self.secret.name("piece", ""), self.store.home
        with naming_disk_errors(home):
            home.mkdir(parents=True, exist_ok=True)  # where it is absent, a machine knows that it does not share it
        parts = [cases[first : first + CASES_PER_SHARD] for first in range(0, len(cases), CASES_PER_SHARD)]
        splits = [{case.patient: self.split_of[case.patient] for case in part} for part in parts]
        shards = [Shard(self.spec, self.reach, split, home, key_check, part) for part, split in zip(parts, splits)]
        for results, written in read_shards(shards) if shards else ():
            self.written.extend(written)
            yield from results

    def _inputs(self, files: CaseFiles, digest_files: DigestFunction) -> CaseInputs:
        return CaseInputs.of(self.spec, self.reach, files, self.split_of[files.patient], digest_files)

    def _is_stored(self, inputs: CaseInputs) -> bool:
        return all(self.store.intact(key) for key in (inputs.image_key, inputs.label_key) if key)

    def _case(self, files: CaseFiles, inputs: CaseInputs) -> Case:
        return Case(files.case, files.patient, self.split_of[files.patient], inputs.image_key, inputs.label_key)

    def _read_into_store(self, inputs: CaseInputs) -> None:
        with self.readers:
            image, label = read_and_check(self.spec, inputs)
        for key, read in ((inputs.image_key, image), (inputs.label_key, label)):
            if key and read is not None:
                volume = with_keyed_frame(read.volume, self.secret)
                self.store.put(key, volume, read.notes, keyed_metadata(read.facts, self.secret))
                self.written.append(key)


@dataclass(frozen=True)
class Shard:
    """Some cases, for a process that sees the same files and the same home under the same paths.

    Attributes:
        spec: The dataset spec.
        reach: The folders that the dataset's files and links may lie in.
        split_of: Patient → partition, for the patients of the shard.
        home: The shared home.
        key_check: The pseudonym that the reading machine's key must give; the key itself is not sent.
        cases: The files of each case.
    """

    spec: DatasetSpec
    reach: LinkPolicy
    split_of: dict[str, Split]
    home: Path
    key_check: str
    cases: Sequence[CaseFiles]

    def read(self) -> tuple[list[ReadResult], list[str]]:
        """Read the cases of the shard.

        Returns:
            The result of each case in order, and the keys of the entries that were written to the store.

        Raises:
            XmedError: PATH_NOT_FOUND, KEY_INVALID where home, files or key differ from those of the asking machine.
        """
        for folder in (self.reach.root, *self.reach.links, self.home):
            if not folder.is_dir():
                do = "mount it on every machine of the cluster"
                raise XmedError("PATH_NOT_FOUND", f"no folder {folder} on {os.uname().nodename}", "a shared folder", do)
        secret, _ = Secret.find(self.home)
        if secret.name("piece", "") != self.key_check:
            what = f"another key for pseudonyms on {os.uname().nodename}"
            raise XmedError("KEY_INVALID", what, "the same one everywhere", "set XMED_DEID_KEY alike, or nowhere")
        reader = CaseReader(self.spec, self.reach, self.split_of, Store(self.home), secret)
        return list(reader.read_cases(self.cases)), reader.written


ReadShards = Callable[[Sequence[Shard]], Iterable[tuple[list[ReadResult], list[str]]]]
"""Has every shard read somewhere and returns what `Shard.read` gave for each, in their order."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
