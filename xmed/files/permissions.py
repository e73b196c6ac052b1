"""Permissions: what xmed writes is for its user alone, or for one group that XMED_GROUP names.

A home holds volumes, reports and logs of patients. The usual umask of 022 would let every account of the machine read
them. A command therefore works under umask 077 (with a group 007), and a home is closed to others as a folder, too.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from xmed.errors import XmedError

GROUP = "XMED_GROUP"
"""A group, by name or number, whose members share a home: files 0660, folders 2770 (new ones inherit the group)."""
LET_THROUGH = ("", "stack")
"""Folders of a home that another account may have to pass through: PostgreSQL refuses to run as root (`xmed up`)."""
KNOWN_BY = ("mlflow.db", "audit.jsonl", "store/volumes", "locks", "stack/stack.json")
"""What tells a home from any other folder."""
_umask: int | None = None
"""The user's own, as it was before `keep`."""


def group() -> int | None:
    """The number of the group that shares the home, where one is named. Raises XmedError USAGE."""
    named = os.environ.get(GROUP)
    if not named:
        return None
    try:
        return int(named) if named.isdecimal() else grp.getgrnam(named).gr_gid
    except KeyError as problem:
        raise XmedError(
            "USAGE", f"{GROUP}={named}: no such group", "a group of this machine", f"unset {GROUP}"
        ) from problem


def mask() -> int:
    """The umask of whatever writes into a home."""
    return 0o007 if os.environ.get(GROUP) else 0o077


def keep() -> None:
    """From now on this process, and what it starts, writes for its user (and the group) alone."""
    global _umask
    before = os.umask(mask())
    _umask = before if _umask is None else _umask


def as_usual(folder: Path) -> None:
    """What lies below a folder is as open as the user's own umask says: for what names nobody, and is passed on."""
    for path in _everything(folder):
        with contextlib.suppress(OSError):
            if not path.is_symlink():
                path.chmod((0o777 if path.is_dir() else 0o666) & ~(0o077 if _umask is None else _umask))


def make(home: Path) -> None:
    """A home, closed to everybody else: made where it is not there yet, closed where it is one. Raises OSError.

    A folder that holds other things besides, such as a user's own or /tmp, is not xmed's to close.
    """
    gid = group()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except FileExistsError as problem:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(home)) from problem
    found = home.stat()
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX and _is_home(home):
        _close(home, home, gid)


def lax(home: Path) -> Iterator[Path]:
    """Every file and folder of a home that others than its user (and the group) may read, enter or write to."""
    for path in _everything(home):
        if _mode(home, path) is not None:
            yield path


def tighten(folder: Path, home: Path) -> int:
    """Close whatever others may read below a folder of a home; returns how much that was. What is not ours stays."""
    gid, closed = group(), 0
    for path in _everything(folder):
        if _mode(home, path) is not None:
            with contextlib.suppress(OSError):
                _close(path, home, gid)
                closed += 1
    return closed


def _is_home(folder: Path) -> bool:
    """Whether a folder is a home, or empty and about to become one."""
    return any((folder / name).exists() for name in KNOWN_BY) or not any(folder.iterdir())


def _close(path: Path, home: Path, gid: int | None) -> None:
    if gid is not None and path.stat().st_gid != gid:
        os.chown(path, -1, gid)
    mode = _mode(home, path)
    if mode is not None:
        path.chmod(mode)


def _mode(home: Path, path: Path) -> int | None:
    """The mode that a file or folder should have instead of its own; None where it is well as it is."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
        return None
    now = stat.S_IMODE(found.st_mode)
    wanted = now & ~mask()
    if path.is_dir() and os.environ.get(GROUP):
        wanted |= 0o2070
    if path in [home / name for name in LET_THROUGH] and os.geteuid() == 0 and (home / "stack").is_dir():
        wanted |= now & 0o001
    return wanted if wanted != now else None


def _everything(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
        for here, folders, files in os.walk(folder):
            yield from (Path(here, name) for name in (*folders, *files))
