"""Archives: reads the members of a zip or tar archive one after the other, with checks of names and sizes.

Sizes are limited while an archive is read: that of each member, that of all members, and what a compressed tar
decompresses to including its headers (a header may claim gigabytes, and readers keep it in memory).
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from xmed.errors import XmedError

MAX_MEMBERS = 1_000_000
PIECE = 1 << 20
"""Bytes that are read at once."""
MAX_NAME, MAX_PATH, MAX_FOLDERS = 255, 4096, 64
"""Bytes of a name and of a path (NAME_MAX, PATH_MAX of Linux), and depth of nested folders."""
XZ_MEMORY = 128 << 20
"""Memory in bytes for decompressing xz; `xz -9` needs 65 MiB (its manual), a malicious stream 4 GiB."""
MAX_RECORD = 1 << 20
"""Bytes of a tar record about the next member, which tarfile keeps in memory; the longest name has 4,096."""
_HEADERS = 4
"""A tar may be so many times as large as its members: header and padding take up to 1,023 bytes each."""

_RECORDS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, EOFError, ArithmeticError, LookupError, ValueError,
           TypeError, RuntimeError, AttributeError, AssertionError, zlib.error, struct.error)  # fmt: skip
"""What zipfile, tarfile and the decompressors raise at damage; their documentation names the first three."""


@dataclass(frozen=True)
class Member:
    """One file of an archive. `pieces` reads it, once, before the next member is requested."""

    name: str
    size: int
    pieces: Callable[[], Iterator[bytes]]


@dataclass
class Names:
    """The names of an archive that were read so far; none may occur twice, or as a file and as a folder.

    Attributes:
        archive: The archive's name, for error messages.
        code: The error code for a name that occurs twice.
        files: Names of files.
        folders: Names of folders.
    """

    archive: str
    code: str = "ARCHIVE_INVALID"
    files: set[PurePosixPath] = field(default_factory=set)
    folders: set[PurePosixPath] = field(default_factory=set)

    def add(self, name: str) -> None:
        """Add the name of a file.

        Args:
            name: The name, as `safe_member_name` returns it.

        Raises:
            XmedError: With `code` for a name that exists already.
        """
        path = PurePosixPath(name)
        above = set(path.parents) - {PurePosixPath(".")}
        if path in self.files or path in self.folders or above & self.files:
            raise invalid_archive(
                self.archive, f"{name[:80]!r} stands there twice, or as a file and as a folder", self.code
            )
        self.files.add(path)
        self.folders |= above


@contextmanager
def open_archive(path: Path, most: int) -> Iterator[Iterator[Member]]:
    """Open an archive and iterate over its files.

    Args:
        path: The archive.
        most: The largest total size of its members in bytes.

    Yields:
        An iterator over the members; each must be read before the next one is requested.

    Raises:
        XmedError: PATH_UNSAFE (a link, a device, an absolute name, a name that leaves the folder), SIZE_CLAIM (too many
            members, or too large), ARCHIVE_INVALID (damaged, or no archive).
        OSError: If the disk fails.
    """
    try:
        with path.open("rb") as file:
            read = _zipped if file.read(2) == b"PK" else _tarred
            file.seek(0)
            yield _counted(read(file, path.name, most), path.name, most)
    except XmedError:
        raise
    except OSError as problem:
        if problem.errno not in (
            None,
            errno.EINVAL,
        ):  # of the disk, not of a decompressor or a seek
            raise
        raise invalid_archive(path.name, type(problem).__name__) from problem
    except (MemoryError, *_DAMAGE) as problem:
        raise invalid_archive(path.name, type(problem).__name__) from problem


def invalid_archive(name: str, why: str, code: str = "ARCHIVE_INVALID") -> XmedError:
    """Make the error for a damaged archive.

    Args:
        name: The archive's name.
        why: What is wrong with it.
        code: The error code.

    Returns:
        The error, to be raised.
    """
    return XmedError(code, f"{name}: {why}", "a whole archive without a password", "take another copy")


def _counted(members: Iterator[Member], archive: str, most: int) -> Iterator[Member]:
    names, total = Names(archive), 0
    for count, member in enumerate(members, start=1):
        names.add(member.name)
        total += member.size
        if total > most or count > MAX_MEMBERS:
            raise _too_much(archive, total, most)
        yield member


def _too_much(archive: str, total: int, most: int) -> XmedError:
    return XmedError("SIZE_CLAIM", f"{archive} unpacks to over {total} bytes", f"{most} bytes at most, for its size")


def safe_member_name(archive: str, name: str, plain: bool, code: str = "ARCHIVE_INVALID") -> str:
    """Check the name of a member and return it as a path that may be written.

    Args:
        archive: The archive's name, for the error message.
        name: The member's name.
        plain: Whether the member is an ordinary file or folder.
        code: The error code for a name that is too long.

    Returns:
        The name with forward slashes.

    Raises:
        XmedError: PATH_UNSAFE, or `code`.
    """
    inside = PurePosixPath(name.replace("\\", "/"))
    signs = any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name)
    if not plain or inside.is_absolute() or ".." in inside.parts or ":" in name.split("/")[0] or signs:
        raise XmedError("PATH_UNSAFE", f"{archive} holds {ascii(name)[:120]}", "ordinary files below one folder")
    long = len(name.encode()) > MAX_PATH or len(inside.parts) > MAX_FOLDERS
    if long or any(len(part.encode()) > MAX_NAME for part in inside.parts):
        raise invalid_archive(archive, f"a name of {len(name)} letters in {len(inside.parts)} folders", code)
    return str(inside)


def _zipped(file: IO[bytes], archive: str, most: int) -> Iterator[Member]:
    with zipfile.ZipFile(file) as packed:
        entries = packed.infolist()
        if sum(entry.file_size for entry in entries) > most or len(entries) > MAX_MEMBERS:
            raise _too_much(archive, sum(entry.file_size for entry in entries), most)
        for entry in entries:
            # Other programs create links from entries with the Unix mode of one.
            plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
            name = safe_member_name(archive, entry.filename, plain)
            if entry.is_dir() or name == ".":
                if entry.file_size:
                    raise invalid_archive(archive, "a folder with bytes")
                continue

            def pieces(entry: zipfile.ZipInfo = entry) -> Iterator[bytes]:
                with packed.open(entry) as source:
                    yield from _pieces(source, entry.file_size, archive)

            yield Member(name, entry.file_size, pieces)


def _tarred(file: IO[bytes], archive: str, most: int) -> Iterator[Member]:
    bound = _Bounded(_inflated(file), archive, _HEADERS * most + PIECE)
    with tarfile.open(fileobj=cast(IO[bytes], bound), mode="r|", tarinfo=_Entry) as packed:  # reads forward only
        for entry in packed:
            name = safe_member_name(archive, entry.name, entry.isreg() or entry.isdir())
            if entry.size < 0:
                raise invalid_archive(archive, "a size below zero")
            if entry.isdir():
                continue
            if name == ".":
                raise invalid_archive(archive, "a file without a name")
            source = packed.extractfile(entry)
            assert source is not None  # it is a regular file
            yield Member(name, entry.size, partial(_pieces, source, entry.size, archive))
    while bound.read(PIECE):  # the checksum of compressed data is checked at the end
        pass


class _Entry(tarfile.TarInfo):
    """A tar entry that refuses records above MAX_RECORD; tarfile calls `_proc_member` before it reads one."""

    def _proc_member(self, packed: tarfile.TarFile) -> Any:
        if self.type in _RECORDS and self.size > MAX_RECORD:
            what = f"a record of {self.size} bytes before a member"
            raise XmedError("SIZE_CLAIM", what, f"{MAX_RECORD} at most", "take another copy")
        return super()._proc_member(packed)  # type: ignore[misc]  # a method that tarfile does not publish


def _pieces(source: IO[bytes], size: int, archive: str) -> Iterator[bytes]:
    """The content of a member, which must have the size that the archive states."""
    got = 0
    while data := source.read(PIECE):
        got += len(data)
        if got > size:
            break
        yield data
    if got != size:
        raise invalid_archive(archive, "a member of another size than it says")


def _inflated(file: IO[bytes]) -> Any:
    """The decompressed stream of a tar, by its first bytes, not by its name."""
    first = file.read(6)
    file.seek(0)
    if first.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if first.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return _Xz(file) if first == b"\xfd7zXZ\0" else file


class _Xz:
    """An xz stream with a memory limit, which lzma's own file class does not have."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def read(self, size: int) -> bytes:
        while not self.unpacker.eof:
            packed = self.file.read(1 << 16) if self.unpacker.needs_input else b""
            if self.unpacker.needs_input and not packed:
                raise EOFError("the stream ends early")
            if data := self.unpacker.decompress(packed, size):
                return data
        return b""


class _Bounded:
    """A stream that raises SIZE_CLAIM after `most` bytes."""

    def __init__(self, inner: Any, archive: str, most: int) -> None:
        self.inner, self.archive, self.most, self.given = inner, archive, most, 0

    def read(self, size: int) -> bytes:
        data: bytes = self.inner.read(min(size, PIECE))
        self.given += len(data)
        if self.given > self.most:
            raise _too_much(self.archive, self.given, self.most)
        return data
