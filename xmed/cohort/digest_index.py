"""Digest index: remembers the digests of files as long as they are unchanged, so that a second ingest is quick.

A file is identified by device and inode, and counts as unchanged while its size and both its times are the same. No
name is kept. The index is only a cache: what it does not know is read again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import stat
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, local
from typing import NamedTuple

from xmed.errors import XmedError
from xmed.home import Home
from xmed.io.file_kinds import scan_entries
from xmed.io.links import PERMIT_LINKS, LinkPolicy

RACY_NS = 2_000_000_000
"""A file that was modified just before it was hashed could be modified again without a change of its time stamp (git's
"racy" entries). The coarsest time stamps, those of FAT, have steps of two seconds."""
PATIENCE_SECONDS = 30.0
"""How long a writer waits for others; each holds the database for milliseconds."""
_TABLES = """
CREATE TABLE IF NOT EXISTS files (device INTEGER, inode INTEGER, size INTEGER, modified INTEGER, changed INTEGER,
 value TEXT, PRIMARY KEY (device, inode)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sets (mark BLOB PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
_KEEP = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)"
_FIND = "SELECT value FROM files WHERE device=? AND inode=? AND size=? AND modified=? AND changed=?"
_KEEP_SET = "INSERT OR REPLACE INTO sets VALUES (?, ?)"
_FIND_SET = "SELECT value FROM sets WHERE mark=?"
_STAMP = struct.Struct("<5q")
_PIECE = 1 << 20
_hashing = local()


class FileState(NamedTuple):
    """What distinguishes one state of a file from another.

    Attributes:
        device: Device number.
        inode: Inode, shifted into the range of a signed integer.
        size: Size in bytes.
        modified: Modification time of the contents, ns.
        changed: Change time of the inode, ns.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, facts: os.stat_result) -> FileState:
        """The state that `os.stat` reports."""
        # SQLite's integers are signed; Windows and some network file systems use all 64 bits of an inode.
        return cls(facts.st_dev, facts.st_ino - (1 << 63), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


class DigestIndex:
    """The digest index below one home; several threads and processes may use it at once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._path = Home(home).store_index
        self._lock, self._owner = Lock(), 0
        self._open: sqlite3.Connection | None = None

    def __del__(self) -> None:
        self.close()

    def find(self, states: Iterable[FileState]) -> dict[FileState, str]:
        """The values kept for exactly these states; states without one are left out."""
        values: dict[FileState, str] = {}
        with self._using() as table:
            if table is not None:
                rows = ((state, table.execute(_FIND, state).fetchone()) for state in states)
                checked = ((state, _unbound(_STAMP.pack(*state), row[0])) for state, row in rows if row)
                values |= {state: value for state, value in checked if value is not None}
        return values

    def keep(self, values: Mapping[FileState, str]) -> None:
        """Keep a value for each state, replacing what was kept for the same file."""
        with self._using(make=True) as table:
            if table is not None:
                with table:
                    rows = [(*state, _bound(_STAMP.pack(*state), value)) for state, value in values.items()]
                    table.executemany(_KEEP, rows)

    def digest(self, paths: Iterable[Path], reach: LinkPolicy, states: dict[str, FileState]) -> str:
        """The digest of a set of files; only files that the index does not know are read.

        Args:
            paths: Files, and folders whose files all count.
            reach: The folders that files and links may lie in.
            states: Is filled with path → state of each file.

        Returns:
            sha256 (hex) of the sorted sha256 of the files; names and order have no influence.

        Raises:
            XmedError: PATH_UNSAFE (leaves `reach`, or is no ordinary file), EMPTY_FILE, READER_FAILED.
        """
        current = dict(_file_states(paths, reach))
        states |= current
        mark = _mark(current)
        if remembered := self._find_set(mark):
            return remembered
        hashes, settled = self._hashes(current)
        value = hashlib.sha256(" ".join(hashes).encode()).hexdigest()
        if settled:
            with self._using(make=True) as table:
                if table is not None:
                    with table:
                        table.execute(_KEEP_SET, (mark, _bound(mark, value)))
        return value

    def recall(self, paths: Iterable[Path], reach: LinkPolicy, states: dict[str, FileState]) -> str:
        """The same for a set of files that was digested before; no file is read.

        Raises:
            LookupError: For a set that the index does not know.
            XmedError: As `digest` does.
        """
        if not self._path.exists():
            raise LookupError("nothing is known yet")
        current = dict(_file_states(paths, reach))
        states |= current
        if (remembered := self._find_set(_mark(current))) is None:
            raise LookupError("a set of files that is not known")
        return remembered

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        with self._lock:
            if self._open is not None and self._owner == os.getpid():
                self._open.close()
            self._open = None

    def _find_set(self, mark: bytes) -> str | None:
        with self._using() as table:
            row = None if table is None else table.execute(_FIND_SET, (mark,)).fetchone()
            return _unbound(mark, row[0]) if row else None
        return None  # the database gave up

    def _hashes(self, current: Mapping[str, FileState]) -> tuple[list[str], bool]:
        """The sorted sha256 of files, and whether all were unchanged for long enough to be known by their states."""
        digests, new, began = self.find(current.values()), dict[FileState, str](), time.time_ns()
        for path, state in current.items():
            if state not in digests:
                digests[state] = _hash(path)
                new[state] = digests[state]
        settled = {s: value for s, value in new.items() if max(s.modified, s.changed) < began - RACY_NS}
        if settled:
            self.keep(settled)
        return sorted(digests[state] for state in current.values()), len(settled) == len(new)

    @contextmanager
    def _using(self, make: bool = False) -> Iterator[sqlite3.Connection | None]:
        """The database, for one thread at a time; None if it does not exist or does not answer."""
        with self._lock:
            try:
                table = self._connection(make)
            except (OSError, sqlite3.Error) as problem:
                self._give_up(problem, make)
                yield None
                return
            try:
                yield table
            except sqlite3.Error as problem:
                self._give_up(problem, make)

    def _give_up(self, problem: Exception, make: bool) -> None:
        """Go on without the database (locked, disk full, folder not writable); delete a file that is no database."""
        if self._open is not None:
            self._open.close()
        self._open = None
        if make and isinstance(problem, sqlite3.DatabaseError) and not isinstance(problem, sqlite3.OperationalError):
            self._path.unlink(missing_ok=True)

    def _connection(self, make: bool) -> sqlite3.Connection | None:
        if self._owner != os.getpid():  # a connection must not be carried across a fork
            self._open = None
        if self._open is None and (make or self._path.exists()):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(self._path, timeout=PATIENCE_SECONDS, check_same_thread=False)
            self._owner = os.getpid()
            self._open.execute("PRAGMA journal_mode=WAL")
            self._open.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last rows, never the rest
            self._open.executescript(_TABLES)
        return self._open


def file_state_of(path: Path | str) -> FileState:
    """The state of a file as it is now; OSError where it cannot be asked."""
    return FileState.of(os.stat(path))


def _bound(about: bytes, value: str) -> str:
    """A value with a checksum of it and its key: a row that was damaged or edited counts as unknown."""
    return f"{value} {hashlib.sha256(about + value.encode()).hexdigest()[:16]}"


def _unbound(about: bytes, row: object) -> str | None:
    value = str(row).rpartition(" ")[0]
    return value if value and _bound(about, value) == row else None


def _mark(states: Mapping[str, FileState]) -> bytes:
    """sha256 of the states of a set of files, whatever their names and order."""
    return hashlib.sha256(b"".join(_STAMP.pack(*state) for state in sorted(states.values()))).digest()


def _file_states(paths: Iterable[Path], reach: LinkPolicy) -> Iterator[tuple[str, FileState]]:
    inside: dict[Path, bool] = {}  # resolving a path costs one system call per folder: once per folder
    for outer in paths:
        folder = outer if outer.is_dir() else outer.parent
        if folder not in inside:
            inside[folder] = reach.holds(folder)
        linked = folder != outer and outer.is_symlink()
        if not (reach.holds(outer) if linked else inside[folder]):
            raise _leads_out(outer, reach)
        if folder != outer:
            yield str(outer), _file_state(outer)
            continue
        for entry, unsafe in scan_entries(os.path.realpath(folder), reach):
            if unsafe is not None:
                raise unsafe
            yield entry.path, _file_state(entry)


def _file_state(file: Path | os.DirEntry[str]) -> FileState:
    try:
        facts = file.stat()
    except OSError as problem:
        if os.path.islink(file):
            where = "in circles" if problem.errno == errno.ELOOP else "to nothing"
            do = "fetch or mount what it leads to, or copy the file in"
            raise XmedError("PATH_UNSAFE", f"{Path(file)} is a link {where}", "a file", do) from problem
        raise _unreadable(Path(file), problem) from problem
    if not stat.S_ISREG(facts.st_mode):
        raise XmedError("PATH_UNSAFE", f"{Path(file)} is no ordinary file", "an ordinary file", "copy the file in")
    if facts.st_size == 0:
        raise XmedError("EMPTY_FILE", f"{Path(file)} has no bytes", "a file with contents", "copy it again")
    return FileState.of(facts)


def _leads_out(path: Path, reach: LinkPolicy) -> XmedError:
    permitted = " and of what `links` permits" if reach.links else ""
    what = f"{path} is a link, or lies behind one, that leads out of {reach.root}{permitted}"
    return XmedError("PATH_UNSAFE", what, "files of its own", PERMIT_LINKS)


def _hash(path: str) -> str:
    buffer = _hashing.__dict__.setdefault("buffer", bytearray(_PIECE))  # allocated once per thread
    view, total = memoryview(buffer), hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(view):
                total.update(view[:count])
    except OSError as problem:
        raise _unreadable(Path(path), problem) from problem
    return total.hexdigest()


def _unreadable(path: Path, problem: OSError) -> XmedError:
    return XmedError("READER_FAILED", f"{path}: {problem.strerror}", "a file that can be read")
