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
from xmed.io.file_kinds import scanned
from xmed.io.links import PERMIT, Reach

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
        self._path = home / "store" / "index.db"
        self._turn, self._owner = Lock(), 0
        self._open: sqlite3.Connection | None = None

    def __del__(self) -> None:
        self.close()

    def find(self, stamps: Iterable[FileState]) -> dict[FileState, str]:
        """What was kept for these very stamps."""
        found: dict[FileState, str] = {}
        with self._using() as table:
            if table is not None:
                rows = ((stamp, table.execute(_FIND, stamp).fetchone()) for stamp in stamps)
                told = ((stamp, _unbound(_STAMP.pack(*stamp), row[0])) for stamp, row in rows if row)
                found |= {stamp: value for stamp, value in told if value is not None}
        return found

    def keep(self, values: Mapping[FileState, str]) -> None:
        """Remember a value for each stamp, in place of what was known about the same file."""
        with self._using(make=True) as table:
            if table is not None:
                with table:
                    table.executemany(
                        _KEEP, [(*stamp, _bound(_STAMP.pack(*stamp), value)) for stamp, value in values.items()]
                    )

    def digest(self, paths: Iterable[Path], reach: Reach, stamps: dict[str, FileState]) -> str:
        """sha256 (hex) of the sorted sha256 of each file and of every file below each folder; only what is unknown is
        read, and of a set that was met before not even its files are looked up.

        Neither names nor their order matter to the readers. stamps: takes what each file was like.

        Raises XmedError PATH_UNSAFE (leaves `reach`, or is no ordinary file), EMPTY_FILE, READER_FAILED.
        """
        met = dict(_stamped(paths, reach))
        stamps |= met
        mark = _mark(met)
        if known := self._met(mark):
            return known
        hashes, settled = self._hashes(met)
        value = hashlib.sha256(" ".join(hashes).encode()).hexdigest()
        if settled:
            with self._using(make=True) as table:
                if table is not None:
                    with table:
                        table.execute(_KEEP_SET, (mark, _bound(mark, value)))
        return value

    def recall(self, paths: Iterable[Path], reach: Reach, stamps: dict[str, FileState]) -> str:
        """What `digest` says, where this very set of files was met before; not a byte is read.

        Raises LookupError where it was not, and as `digest` does.
        """
        if not self._path.exists():
            raise LookupError("nothing is known yet")
        met = dict(_stamped(paths, reach))
        stamps |= met
        if (known := self._met(_mark(met))) is None:
            raise LookupError("a set of files not met before")
        return known

    def close(self) -> None:
        """Let go of the database; whoever asks next opens it again."""
        with self._turn:
            if self._open is not None and self._owner == os.getpid():
                self._open.close()
            self._open = None

    def _met(self, mark: bytes) -> str | None:
        with self._using() as table:
            row = None if table is None else table.execute(_FIND_SET, (mark,)).fetchone()
            return _unbound(mark, row[0]) if row else None
        return None  # the database gave up

    def _hashes(self, met: Mapping[str, FileState]) -> tuple[list[str], bool]:
        """The sorted sha256 of files, and whether they have all been at rest for long enough to be known by stamps."""
        known, new, began = self.find(met.values()), dict[FileState, str](), time.time_ns()
        for path, stamp in met.items():
            if stamp not in known:
                known[stamp] = _hash(path)
                new[stamp] = known[stamp]
        settled = {s: value for s, value in new.items() if max(s.modified, s.changed) < began - RACY_NS}
        if settled:
            self.keep(settled)
        return sorted(known[stamp] for stamp in met.values()), len(settled) == len(new)

    @contextmanager
    def _using(self, make: bool = False) -> Iterator[sqlite3.Connection | None]:
        """The database, for one at a time; None where there is none or where it does not answer."""
        with self._turn:
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
        """Do without for now: locked, a full disk, a folder that nobody may write to. What is no database goes."""
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
    """The stamp of a file as it is now. Raises OSError."""
    return FileState.of(os.stat(path))


def _bound(about: bytes, value: str) -> str:
    """A value with a check of what it belongs to: a row that a disk or a script changed is not known."""
    return f"{value} {hashlib.sha256(about + value.encode()).hexdigest()[:16]}"


def _unbound(about: bytes, kept: object) -> str | None:
    value = str(kept).rpartition(" ")[0]
    return value if value and _bound(about, value) == kept else None


def _mark(met: Mapping[str, FileState]) -> bytes:
    """A set of files as they are, whatever their names and order."""
    return hashlib.sha256(b"".join(_STAMP.pack(*stamp) for stamp in sorted(met.values()))).digest()


def _stamped(paths: Iterable[Path], reach: Reach) -> Iterator[tuple[str, FileState]]:
    inside: dict[Path, bool] = {}  # resolving a path costs a question for each of its folders: once per folder
    for outer in paths:
        folder = outer if outer.is_dir() else outer.parent
        if folder not in inside:
            inside[folder] = reach.holds(folder)
        linked = folder != outer and outer.is_symlink()
        if not (reach.holds(outer) if linked else inside[folder]):
            raise _leads_out(outer, reach)
        if folder != outer:
            yield str(outer), _stamp(outer)
            continue
        for entry, unsafe in scanned(os.path.realpath(folder), reach):
            if unsafe is not None:
                raise unsafe
            yield entry.path, _stamp(entry)


def _stamp(file: Path | os.DirEntry[str]) -> FileState:
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


def _leads_out(path: Path, reach: Reach) -> XmedError:
    permitted = " and of what `links` permits" if reach.links else ""
    what = f"{path} is a link, or lies behind one, that leads out of {reach.root}{permitted}"
    return XmedError("PATH_UNSAFE", what, "files of its own", PERMIT)


def _hash(path: str) -> str:
    buffer = _hashing.__dict__.setdefault("buffer", bytearray(_PIECE))  # memory is got once for each thread
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
