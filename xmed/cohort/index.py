"""Index: what the bytes of a file hashed to, for as long as the file stays as it was; so that a second ingest is quick.

A file is known by device and inode, and has not changed while its size and both its times stand still. No name is kept.
Losing the index costs time and nothing else: whatever it does not know is read again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xmed.errors import XmedError
from xmed.io.files import entries

RACY_NS = 2_000_000_000
"""A file written to just before it was hashed could be written to again within one tick of its clock (git's "racy"
entries); no clock of a file system ticks more slowly than FAT's two seconds."""
PATIENCE_SECONDS = 30.0
"""How long a writer waits for the others; each holds the index for milliseconds."""
_TABLE = """CREATE TABLE IF NOT EXISTS files (device INTEGER, inode INTEGER, size INTEGER, modified INTEGER,
 changed INTEGER, value TEXT, PRIMARY KEY (device, inode)) WITHOUT ROWID"""
_KEEP = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)"
_FIND = "SELECT value FROM files WHERE device=? AND inode=? AND size=? AND modified=? AND changed=?"


class Stamp(NamedTuple):
    """What tells one state of a file from another. modified, changed: of contents and of inode, in ns."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Stamp:
        # SQLite's integers are signed; Windows and some network file systems use all 64 bits of an inode.
        return cls(facts.st_dev, facts.st_ino - (1 << 63), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@dataclass(frozen=True)
class Index:
    """The index below one home; several processes may use it at once."""

    home: Path

    def find(self, stamps: Iterable[Stamp]) -> dict[Stamp, str]:
        """What was kept for these very stamps."""
        if not self._path.exists():
            return {}
        try:
            with closing(self._connect()) as table:
                rows = ((stamp, table.execute(_FIND, stamp).fetchone()) for stamp in stamps)
                return {stamp: row[0] for stamp, row in rows if row}
        except sqlite3.Error:
            return {}

    def keep(self, values: Mapping[Stamp, str]) -> None:
        """Remember a value for each stamp, in place of what was known about the same file."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as table, table:
                table.executemany(_KEEP, [(*stamp, value) for stamp, value in values.items()])
        except (OSError, sqlite3.OperationalError):  # locked, a full disk, a folder that nobody may write to
            return
        except sqlite3.DatabaseError:  # no database any more
            self._path.unlink(missing_ok=True)

    def hashes(self, paths: Iterable[Path], root: Path, stamps: dict[Path, Stamp]) -> list[str]:
        """sha256 (hex) of each file and of every file below each folder, sorted; only what is unknown is read.

        Neither names nor their order matter to the readers. stamps: takes what each file was like.

        Raises XmedError PATH_UNSAFE (leaves `root`, or is no ordinary file), EMPTY_FILE, READER_FAILED.
        """
        met = dict(_stamped(paths, root.resolve()))
        stamps |= met
        known, new, began = self.find(met.values()), dict[Stamp, str](), time.time_ns()
        for path, stamp in met.items():
            if stamp not in known:
                known[stamp] = _hash(path)
                if max(stamp.modified, stamp.changed) < began - RACY_NS:
                    new[stamp] = known[stamp]
        if new:
            self.keep(new)
        return sorted(known[stamp] for stamp in met.values())

    @property
    def _path(self) -> Path:
        return self.home / "store" / "index.db"

    def _connect(self) -> sqlite3.Connection:
        table = sqlite3.connect(self._path, timeout=PATIENCE_SECONDS)
        table.execute("PRAGMA journal_mode=WAL")
        table.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last rows, never the rest
        table.execute(_TABLE)
        return table


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file as it is now. Raises OSError."""
    return Stamp.of(path.stat())


def _stamped(paths: Iterable[Path], base: Path) -> Iterator[tuple[Path, Stamp]]:
    inside: dict[Path, bool] = {}  # resolving a path costs a question for each of its folders: once per folder
    for outer in paths:
        for path, unsafe in entries(outer) if outer.is_dir() else [(outer, None)]:
            if unsafe is not None:
                raise unsafe
            if path.parent not in inside:
                inside[path.parent] = path.parent.resolve().is_relative_to(base)
            try:
                facts = path.lstat()
                linked = stat.S_ISLNK(facts.st_mode)
                facts = path.stat() if linked else facts
            except OSError as problem:
                raise _unreadable(path, problem) from problem
            safe = inside[path.parent] and (not linked or path.resolve().is_relative_to(base))
            if not safe or not stat.S_ISREG(facts.st_mode):
                raise XmedError("PATH_UNSAFE", f"{path}", f"an ordinary file below {base}", "copy the file in")
            if facts.st_size == 0:
                raise XmedError("EMPTY_FILE", f"{path} has no bytes", "a file with contents", "copy it again")
            yield path, Stamp.of(facts)


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise _unreadable(path, problem) from problem


def _unreadable(path: Path, problem: OSError) -> XmedError:
    return XmedError("READER_FAILED", f"{path}: {problem.strerror}", "a file that can be read")
