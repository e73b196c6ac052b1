"""Atomic: a file that is there whole or not at all, whatever ends the process that writes it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from xmed.files.permissions import mask

LONGEST = 240
"""Bytes of a name that leave room for what is put around it; file systems have 255 (NAME_MAX)."""


def write_atomically(path: Path, data: str | bytes, *, private: bool = False) -> None:
    """Write so that a reader sees the old file or the whole new one, never a part (kill -9 and power loss included).

    data: text goes as UTF-8. private: readable by its owner alone; else by the group that shares the home, too, where
    there is one (`xmed.files.permissions`). Raises OSError; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    short = path.name[: LONGEST // 4] if len(os.fsencode(path.name)) > LONGEST else path.name
    part = path.with_name(f".{short}.{secrets.token_hex(4)}")
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666 & ~mask())
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
