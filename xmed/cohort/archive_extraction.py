"""Archive extraction: a zip or tar archive into a folder, whole, or not a file of it where any of it is unsafe."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from xmed.errors import XmedError
from xmed.files import archives

MAX_RATIO = 100
"""Images shrink to a half or a fifth, label maps to a fiftieth; what shrinks further was made to burst."""
_SLACK = 1 << 20  # bytes that even the smallest archive may unpack to


ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""By name, since many a format is a zip inside (.npz, .docx) that nobody wants unpacked."""


def unpack_archive(path: Path, folder: Path) -> None:
    """Unpack an archive into `folder`. Archives within it stay packed.

    Raises XmedError PATH_UNSAFE (a link, a device, an absolute name, one that climbs out), SIZE_CLAIM (too many
    members, or too large for its own size), ARCHIVE_INVALID, OUTPUT_EXISTS (a folder where a file should come).
    """
    made = not folder.exists()
    part = folder / f".part-{secrets.token_hex(4)}"
    try:
        with archives.opened(path, max(path.stat().st_size * MAX_RATIO, _SLACK)) as members:
            for member in members:
                target = part / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as out:
                    out.writelines(member.pieces())
        _move(part, folder)
    except FileExistsError as problem:
        raise archives.invalid(path.name, "two names that this disk takes for one") from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _move(part: Path, folder: Path) -> None:
    """Every file to its place, over what an earlier time left there."""
    for here, _, names in os.walk(part):
        place = folder / Path(here).relative_to(part)
        for name in names:
            try:
                place.mkdir(parents=True, exist_ok=True)
                os.replace(Path(here) / name, place / name)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
                what = f"{place / name}: a file and a folder of one name"
                raise XmedError("OUTPUT_EXISTS", what, "one of them", "clear the folder") from problem
