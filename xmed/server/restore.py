"""Restore: a home out of a backup, into a place where there is none: whole, with every hash checked, or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import sqlite3
from pathlib import Path, PurePosixPath
from typing import Any

from xmed.errors import XmedError
from xmed.files import archives, documents
from xmed.files.permissions import close_to_others
from xmed.registry.relocation import rewrite
from xmed.server.backup import DUMP, EMBEDDED, FILES, FORMAT, MANIFEST, POSTGRESQL, SQLITE, held
from xmed.server.stack import passwords, postgres
from xmed.server.stack.paths import USUAL, Place

MAX_RATIO, SLACK = 200, 512 << 20
"""How far a backup may unpack: voxels and weights hardly shrink, empty label maps 200 to one (gzip -1)."""
LARGEST = 256 << 20
"""Bytes of its manifest: a million files have one of 150 MB."""


def restore(file: Path, home: Path) -> dict[str, Any]:
    """Make `home` what it was when it was backed up; returns what is in it.

    A home whose registry was in PostgreSQL gets a stack of its own, with new passwords, which `xmed up` brings up.
    Raises XmedError OUTPUT_EXISTS (the home is not empty), PATH_NOT_FOUND, ARCHIVE_INVALID, SERVER_FAILED.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise XmedError("OUTPUT_EXISTS", f"{home} is not empty", "an empty home", "set XMED_HOME to another folder")
    if not file.is_file():
        raise XmedError("PATH_NOT_FOUND", f"no file {file}", "a file that `xmed backup` wrote")
    home.parent.mkdir(parents=True, exist_ok=True)
    part = home.with_name(f".{home.name}.{secrets.token_hex(4)}")
    part.mkdir()
    part.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root lends PostgreSQL another account, which must get in
    try:
        document = _unpack(file, part)
        if document["registry"] == POSTGRESQL:
            _into_postgres(part / DUMP, part / FILES)
        if (part / FILES / EMBEDDED).is_file():
            try:
                rewrite(part / FILES / EMBEDDED, Path(document["home"].rstrip("/")), home)
            except sqlite3.Error as problem:
                raise _invalid(file, f"its registry is no database: {problem}") from problem
        if home.exists():
            home.rmdir()
        close_to_others(part / FILES, part / FILES)
        (part / FILES).rename(home)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    told = {key: document[key] for key in ("made", "registry")}
    return {"home": str(home), "files": len(document["files"]), "from": document["home"], **told}


def _unpack(file: Path, into: Path) -> dict[str, Any]:
    """Write every file below `into`; returns the manifest. Raises XmedError ARCHIVE_INVALID."""
    hashes: dict[str, str] = {}
    document: Any = None
    try:
        with archives.open_archive(file, max(file.stat().st_size * MAX_RATIO, SLACK)) as members:
            for member in members:
                if member.name == MANIFEST:
                    document = _manifest(file, member)
                elif member.name == DUMP or _of_home(member.name):
                    hashes[member.name] = _written(member, into / member.name)
                else:
                    raise _invalid(file, f"{member.name!r} is nothing that a backup holds")
    except XmedError as problem:
        raise problem if problem.code == "ARCHIVE_INVALID" else _invalid(file, problem.what) from problem
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
        raise _invalid(file, "two names that this disk takes for one") from problem
    if document is None:
        raise _invalid(file, f"it has no manifest of {FORMAT}")
    wrong = sorted({*hashes.items()} ^ {*document["files"].items()})
    if wrong:
        raise _invalid(file, f"{wrong[0][0]} is not what was backed up")
    if (document["registry"] == POSTGRESQL) != (DUMP in hashes):
        raise _invalid(file, "its registry is not in it")
    (into / FILES).mkdir(exist_ok=True)
    return document


def _manifest(file: Path, member: archives.Member) -> dict[str, Any]:
    """What a backup says of itself, in the shape that `backup` gives it. Raises XmedError ARCHIVE_INVALID."""
    if member.size > LARGEST:
        raise _invalid(file, f"a manifest of {member.size} bytes")
    found = documents.parse_json(b"".join(member.pieces()), str(file), "ARCHIVE_INVALID", LARGEST)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _invalid(file, f"it has no manifest of {FORMAT}")
    files = documents.mapping(found.get("files"), f"{file}: files", "ARCHIVE_INVALID")
    texts = all(isinstance(found.get(key), str) for key in ("made", "home"))
    hashes = all(isinstance(sha, str) and re.fullmatch("[0-9a-f]{64}", sha) for sha in files.values())
    if not (texts and hashes) or found.get("registry") not in (None, SQLITE, POSTGRESQL):
        raise _invalid(file, "its manifest is of another shape")
    return found


def _of_home(name: str) -> bool:
    path = PurePosixPath(name)
    return path.parts[0] == FILES and len(path.parts) > 1 and held(path.relative_to(FILES))


def _written(member: archives.Member, target: Path) -> str:
    """The sha256 of a member, once it is written; of what an archive says of its mode and owner nothing is taken."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as out:
        for data in member.pieces():
            found.update(data)
            out.write(data)
    return found.hexdigest()


def _invalid(file: Path, why: str) -> XmedError:
    return XmedError("ARCHIVE_INVALID", f"{file}: {why}", "a whole file that `xmed backup` wrote", "take another copy")


def _into_postgres(dump: Path, home: Path) -> None:
    """The registry's database into a stack made for it."""
    place = Place(home)
    place.folder.mkdir(exist_ok=True)
    passwords.make(home)
    with postgres.alone(place) as port:
        words = ["--no-owner", "--exit-on-error", "--single-transaction", "--dbname=mlflow", str(dump)]
        postgres.client(place, port, "pg_restore", *words)
    place.settle(USUAL)
