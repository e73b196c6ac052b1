"""Unpacking: a zip or tar archive into a folder, refused whole before a byte is written when any of it is unsafe."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from xmed.errors import XmedError

MAX_MEMBERS = 1_000_000
MAX_RATIO = 100
"""Images shrink to a half or a fifth, label maps to a fiftieth; what shrinks further was made to burst."""
_SLACK = 1 << 20  # bytes that even the smallest archive may unpack to


ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""By name, since many a format is a zip inside (.npz, .docx) that nobody wants unpacked."""


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive into `folder`. Archives within it stay packed.

    Raises XmedError PATH_UNSAFE (a link, a device, an absolute name, one that climbs out), SIZE_CLAIM (too many
    members, or too large for its own size), ARCHIVE_INVALID.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                entries = packed.infolist()
                _check(path, ((entry.filename, entry.file_size, _is_plain(entry)) for entry in entries))
                packed.extractall(folder)
        else:
            with tarfile.open(path) as packed_tar:
                members = packed_tar.getmembers()
                _check(path, ((member.name, member.size, member.isreg() or member.isdir()) for member in members))
                packed_tar.extractall(folder, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError, RuntimeError) as problem:
        raise XmedError(
            "ARCHIVE_INVALID", f"{path.name}: {type(problem).__name__}", "a whole archive without a password"
        ) from problem


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    """Whether a zip entry is a file or a folder; unzippers make links of entries whose Unix mode says so."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return kind in (0, stat.S_IFREG, stat.S_IFDIR)


def _check(path: Path, members: Iterable[tuple[str, int, bool]]) -> None:
    most, total = max(path.stat().st_size * MAX_RATIO, _SLACK), 0
    for count, (name, size, plain) in enumerate(members, start=1):
        inside = PurePosixPath(name.replace("\\", "/"))
        if not plain or inside.is_absolute() or ".." in inside.parts or ":" in name.split("/")[0]:
            raise XmedError("PATH_UNSAFE", f"{path.name} holds {name!r}", "ordinary files below one folder")
        total += size
        if total > most or count > MAX_MEMBERS:
            raise XmedError(
                "SIZE_CLAIM", f"{path.name} unpacks to over {total} bytes in {count} files", f"{most} bytes at most"
            )
