"""Writable: checks whether a file can be written, and translates errors of the operating system."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from xmed.errors import XmedError


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
