"""Restore: a home out of a backup, into a place where there is none: whole, with every hash checked, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.backup import DUMP, EMBEDDED, FILES, FORMAT, MANIFEST, POSTGRESQL
from pipelines.stack import postgres, secret
from pipelines.stack.place import USUAL, Place
from xmed.errors import XmedError
from xmed.private import tighten
from xmed.relocation import rewrite

PIECE = 1 << 20


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
            rewrite(part / FILES / EMBEDDED, Path(document["home"].rstrip("/")), home)
        if home.exists():
            home.rmdir()
        tighten(part / FILES, part / FILES)
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
        with tarfile.open(file, "r:*") as archive:
            for member in archive:
                source = archive.extractfile(member) if member.isreg() and _inside(member.name) else None
                if source is None:
                    raise _invalid(file, f"{member.name!r} is no file below it")
                if member.name == MANIFEST:
                    document = json.loads(source.read())
                    continue
                target, found = into / member.name, hashlib.sha256()
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as out:
                    while data := source.read(PIECE):
                        found.update(data)
                        out.write(data)
                hashes[member.name] = found.hexdigest()
    except (tarfile.TarError, EOFError, ValueError, FileExistsError) as problem:
        raise _invalid(file, str(problem)) from problem
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _invalid(file, f"it has no manifest of {FORMAT}")
    wrong = sorted({*hashes.items()} ^ {*document["files"].items()})
    if wrong:
        raise _invalid(file, f"{wrong[0][0]} is not what was backed up")
    (into / FILES).mkdir(exist_ok=True)
    return document


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and (name in (MANIFEST, DUMP) or path.parts[0] == FILES)


def _invalid(file: Path, why: str) -> XmedError:
    return XmedError("ARCHIVE_INVALID", f"{file}: {why}", "a whole file that `xmed backup` wrote", "take another copy")


def _into_postgres(dump: Path, home: Path) -> None:
    """The registry's database into a stack made for it."""
    place = Place(home)
    place.folder.mkdir(exist_ok=True)
    secret.make(home)
    with postgres.alone(place) as port:
        words = ["--no-owner", "--exit-on-error", "--single-transaction", "--dbname=mlflow", str(dump)]
        postgres.client(place, port, "pg_restore", *words)
    place.settle(USUAL)
