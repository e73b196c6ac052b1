"""Writable: whether a file can come to be at a place, and what a system's refusal means to whoever asked."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from xmed.errors import XmedError


def refused(problem: OSError, place: Path) -> XmedError:
    """What a system's refusal to write means to whoever asked."""
    why = problem.strerror or type(problem).__name__
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        do = "free some, or set XMED_HOME to another disk"
        return XmedError("DISK_FULL", f"{place}: {why}", "room on the disk", do)
    return XmedError("NOT_WRITABLE", f"{place} cannot be written to: {why}", "a writable folder", "set XMED_HOME")


def output(out: Path) -> None:
    """Raises XmedError PATH_NOT_FOUND, NOT_WRITABLE, OUTPUT_EXISTS, USAGE where a file cannot come to be there."""
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
        raise refused(problem, folder) from problem
