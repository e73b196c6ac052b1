"""Atomic: writes files so that they are complete or absent, whatever ends the writing process."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from xmed.files.permissions import private_umask

LONGEST = 240
"""Longest name in bytes that can take a prefix and suffix; file systems allow 255 (NAME_MAX)."""


def write_atomically(path: Path, data: str | bytes, *, private: bool = False) -> None:
    """Write a file so that readers see the old or the complete new one, also after kill -9 or a power cut.

    Args:
        path: The file.
        data: The content; text is encoded as UTF-8.
        private: Whether only the owner may read it; otherwise the group that shares the home may too, if there is one.

    Raises:
        OSError: If the file cannot be written; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    short = path.name[: LONGEST // 4] if len(os.fsencode(path.name)) > LONGEST else path.name
    part = path.with_name(f".{short}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666 & ~private_umask())
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk; only then is a rename within it safe against a power cut.

    Args:
        folder: The folder.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
