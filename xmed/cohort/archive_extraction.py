"""Archive extraction: unpacks a zip or tar archive completely, or not at all if any member is unsafe."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from xmed.errors import XmedError
from xmed.files import archives

MAX_RATIO = 100
"""Unpacked size per packed size. Images reach 2 to 5, label maps 50; more is an archive made to fill the disk."""
_SLACK = 1 << 20  # bytes that even the smallest archive may unpack to

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""By name, since some formats are zip archives inside (.npz, .docx) and must stay packed."""


def unpack_archive(path: Path, folder: Path) -> None:
    """Unpack an archive into `folder`. Archives within it stay packed.

    Raises:
        XmedError: PATH_UNSAFE (a link, a device, an absolute name, a name that leaves the folder), SIZE_CLAIM (too
            many members, or too large for its own size), ARCHIVE_INVALID, OUTPUT_EXISTS (a folder has a file's name).
    """
    created = not folder.exists()
    part = folder / f".part-{secrets.token_hex(4)}"
    try:
        with archives.open_archive(path, max(path.stat().st_size * MAX_RATIO, _SLACK)) as members:
            for member in members:
                target = part / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    file.writelines(member.pieces())
        _move_files(part, folder)
    except FileExistsError as problem:
        raise archives.invalid_archive(path.name, "two names that this disk takes for one") from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if created and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _move_files(part: Path, folder: Path) -> None:
    """Move every file to its place, replacing files of an earlier extraction."""
    for subfolder, _, names in os.walk(part):
        place = folder / Path(subfolder).relative_to(part)
        for name in names:
            try:
                place.mkdir(parents=True, exist_ok=True)
                os.replace(Path(subfolder) / name, place / name)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
                what = f"{place / name}: a file and a folder of one name"
                raise XmedError("OUTPUT_EXISTS", what, "one of them", "clear the folder") from problem
