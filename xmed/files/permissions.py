"""Permissions: who may read the files that xmed writes, and whether a file can be written at all.

A home contains volumes, reports and logs of patients. With the usual umask of 022 every account of the machine could
read them. Commands therefore use umask 077 (007 with a group), and the folder of a home is closed to others as well.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from xmed.errors import XmedError
from xmed.home import Home

GROUP = "XMED_GROUP"
"""Variable with a group, by name or number, that shares a home: files 0660, folders 2770 (inherit the group)."""
LET_THROUGH = ("", "stack")
"""Folders of a home that another account may have to enter: PostgreSQL does not run as root (`xmed up`)."""
KNOWN_BY = ("mlflow.db", "audit.jsonl", "store/volumes", "locks", "prefect", "stack/stack.json")
"""Names that distinguish a home from other folders."""
_umask: int | None = None
"""The user's umask before `set_umask`."""


def write_refusal(problem: OSError, place: Path) -> XmedError:
    """Make the coded error for an error of the operating system when writing.

    Args:
        problem: The error of the operating system.
        place: The file or folder.

    Returns:
        An XmedError DISK_FULL or NOT_WRITABLE, to be raised.
    """
    why = problem.strerror or type(problem).__name__
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        do = "free some, or set XMED_HOME to another disk"
        return XmedError("DISK_FULL", f"{place}: {why}", "room on the disk", do)
    return XmedError("NOT_WRITABLE", f"{place} cannot be written to: {why}", "a writable folder", "set XMED_HOME")


def check_output(out: Path) -> None:
    """Check that a file can be written at a path.

    Args:
        out: The path.

    Raises:
        XmedError: PATH_NOT_FOUND (no such folder), OUTPUT_EXISTS (a folder has the name), USAGE (the name is too long),
            NOT_WRITABLE, DISK_FULL.
    """
    folder = out.absolute().parent
    if not folder.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"no folder {folder}", "an existing folder to write into")
    if out.is_dir():
        raise XmedError("OUTPUT_EXISTS", f"{out} is a folder", "a file's name", "another name")
    if len(os.fsencode(out.name)) > os.statvfs(folder).f_namemax:
        raise XmedError("USAGE", f"the name of {out} is too long for its file system", "a shorter name")
    try:
        probe = folder / f".{secrets.token_hex(8)}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as problem:
        raise write_refusal(problem, folder) from problem


def sharing_group() -> int | None:
    """The number of the group that shares the home, or None.

    Raises:
        XmedError: USAGE for a group that does not exist.
    """
    named = os.environ.get(GROUP)
    if not named:
        return None
    try:
        return int(named) if named.isdecimal() else grp.getgrnam(named).gr_gid
    except KeyError as problem:
        raise XmedError(
            "USAGE", f"{GROUP}={named}: no such group", "a group of this machine", f"unset {GROUP}"
        ) from problem


def private_umask() -> int:
    """The umask for writing into a home."""
    return 0o007 if os.environ.get(GROUP) else 0o077


def set_umask() -> None:
    """Set the umask of this process, which its children inherit, to `private_umask`."""
    global _umask
    before = os.umask(private_umask())
    _umask = before if _umask is None else _umask


def apply_user_umask(folder: Path) -> None:
    """Give everything below a folder the modes of the user's own umask, for data without identity that is shared.

    Args:
        folder: The folder.
    """
    for path in _everything(folder):
        with contextlib.suppress(OSError):
            if not path.is_symlink():
                path.chmod((0o777 if path.is_dir() else 0o666) & ~(0o077 if _umask is None else _umask))


def make_private_home(home: Path) -> None:
    """Create a home that others cannot read, or close an existing one.

    A folder that is not a home, such as a user's own folder or /tmp, keeps its mode.

    Args:
        home: The folder of the home.

    Raises:
        OSError: If the folder cannot be created or its mode not changed.
    """
    gid = sharing_group()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except FileExistsError as problem:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(home)) from problem
    facts = home.stat()
    if facts.st_uid == os.geteuid() and not facts.st_mode & stat.S_ISVTX and _is_home(home):
        _close(home, home, gid)


def readable_by_others(home: Path) -> Iterator[Path]:
    """Find files and folders of a home that accounts other than its user (and group) may access.

    Args:
        home: The folder of the home.

    Yields:
        Their paths.
    """
    for path in _everything(home):
        if _mode(home, path) is not None:
            yield path


def close_to_others(folder: Path, home: Path) -> int:
    """Close files and folders below a folder of a home to others; files of other accounts stay as they are.

    Args:
        folder: The folder.
        home: The folder of the home.

    Returns:
        How many were closed.
    """
    gid, closed = sharing_group(), 0
    for path in _everything(folder):
        if _mode(home, path) is not None:
            with contextlib.suppress(OSError):
                _close(path, home, gid)
                closed += 1
    return closed


def _is_home(folder: Path) -> bool:
    """Whether a folder is a home, or empty."""
    return any((folder / name).exists() for name in KNOWN_BY) or not any(folder.iterdir())


def _close(path: Path, home: Path, gid: int | None) -> None:
    if gid is not None and path.stat().st_gid != gid:
        os.chown(path, -1, gid)
    mode = _mode(home, path)
    if mode is not None:
        path.chmod(mode)


def _mode(home: Path, path: Path) -> int | None:
    """The mode that a file or folder should have, or None if its mode is right."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(facts.st_mode) or facts.st_uid != os.geteuid():
        return None
    current = stat.S_IMODE(facts.st_mode)
    mode = current & ~private_umask()
    if path.is_dir() and os.environ.get(GROUP):
        mode |= 0o2070
    if path in [home / name for name in LET_THROUGH] and os.geteuid() == 0 and Home(home).stack.is_dir():
        mode |= current & 0o001
    return mode if mode != current else None


def _everything(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
        for parent, folders, files in os.walk(folder):
            yield from (Path(parent, name) for name in (*folders, *files))
