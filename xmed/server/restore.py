"""Restore of a backup into an empty home: complete, with every checksum verified, or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sqlite3
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from xmed.errors import XmedError
from xmed.files import archives, documents
from xmed.files.permissions import close_to_others
from xmed.records.home_backup import BackupManifest, RestoreSummary
from xmed.registry.relocation import rewrite
from xmed.server.backup import DUMP, EMBEDDED, FILES, MANIFEST, belongs_in_backup
from xmed.server.stack import passwords, postgres
from xmed.server.stack.paths import USUAL_PORTS, StackPlace

MAX_RATIO, SLACK = 200, 512 << 20
"""How far a backup may unpack: MAX_RATIO times its size, or SLACK bytes. Empty label maps shrink 200 to one."""
LARGEST_MANIFEST = 256 << 20
"""Bytes; a million files have a manifest of 150 MB."""


def restore(file: Path, home: Path) -> RestoreSummary:
    """Restore a home from a backup.

    A home whose registry was in PostgreSQL gets a stack of its own, with new passwords, which `xmed up` starts.

    Args:
        file: What `backup` wrote.
        home: The folder to restore to; it is empty, or does not exist.

    Returns:
        What was restored, and from where.

    Raises:
        XmedError: OUTPUT_EXISTS (the home is not empty), PATH_NOT_FOUND, ARCHIVE_INVALID, SERVER_FAILED.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise XmedError("OUTPUT_EXISTS", f"{home} is not empty", "an empty home", "set XMED_HOME to another folder")
    if not file.is_file():
        raise XmedError("PATH_NOT_FOUND", f"no file {file}", "a file that `xmed backup` wrote")
    home.parent.mkdir(parents=True, exist_ok=True)
    part = home.with_name(f".{home.name}.{secrets.token_hex(4)}")
    part.mkdir()
    part.chmod(
        0o711 if os.geteuid() == 0 else 0o700
    )  # PostgreSQL then runs under another account, which must be able to enter
    try:
        manifest = _unpack(file, part)
        if manifest.registry == "postgresql":
            _restore_database(part / DUMP, part / FILES)
        if (part / FILES / EMBEDDED).is_file():
            try:
                rewrite(part / FILES / EMBEDDED, Path(manifest.home.rstrip("/")), home)
            except sqlite3.Error as problem:
                raise _invalid(file, f"its registry is no database: {problem}") from problem
        if home.exists():
            home.rmdir()
        close_to_others(part / FILES, part / FILES)
        (part / FILES).rename(home)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    fields = {"home": str(home), "files": len(manifest.files), "from": manifest.home}
    return RestoreSummary.model_validate({**fields, "made": manifest.made_at, "registry": manifest.registry})


def _unpack(file: Path, into: Path) -> BackupManifest:
    """Write every file below `into`; returns the manifest."""
    hashes: dict[str, str] = {}
    manifest: BackupManifest | None = None
    try:
        with archives.open_archive(file, max(file.stat().st_size * MAX_RATIO, SLACK)) as members:
            for member in members:
                if member.name == MANIFEST:
                    manifest = _read_manifest(file, member)
                elif member.name == DUMP or _is_home_file(member.name):
                    hashes[member.name] = _write_member(member, into / member.name)
                else:
                    raise _invalid(file, f"{member.name!r} is nothing that a backup holds")
    except XmedError as problem:
        raise problem if problem.code == "ARCHIVE_INVALID" else _invalid(file, problem.what) from problem
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
        raise _invalid(file, "two names that this disk takes for one") from problem
    if manifest is None:
        raise _invalid(file, "it has no manifest of xmed-backup/1")
    differing = sorted({*hashes.items()} ^ {*manifest.files.items()})
    if differing:
        raise _invalid(file, f"{differing[0][0]} is not what was backed up")
    if (manifest.registry == "postgresql") != (DUMP in hashes):
        raise _invalid(file, "its registry is not in it")
    (into / FILES).mkdir(exist_ok=True)
    return manifest


def _read_manifest(file: Path, member: archives.Member) -> BackupManifest:
    """Read the manifest of a backup and check its format."""
    if member.size > LARGEST_MANIFEST:
        raise _invalid(file, f"a manifest of {member.size} bytes")
    document = documents.parse_json(b"".join(member.pieces()), str(file), "ARCHIVE_INVALID", LARGEST_MANIFEST)
    if not isinstance(document, dict) or document.get("format") != "xmed-backup/1":
        raise _invalid(file, "it has no manifest of xmed-backup/1")
    try:
        return BackupManifest.model_validate(document)
    except ValidationError as problem:
        raise _invalid(file, "its manifest is of another shape") from problem


def _is_home_file(name: str) -> bool:
    path = PurePosixPath(name)
    return path.parts[0] == FILES and len(path.parts) > 1 and belongs_in_backup(path.relative_to(FILES))


def _write_member(member: archives.Member, target: Path) -> str:
    """Write a member and return its sha256; mode and owner that the archive gives are ignored."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256()
    with target.open("xb") as out:
        for data in member.pieces():
            sha256.update(data)
            out.write(data)
    return sha256.hexdigest()


def _invalid(file: Path, why: str) -> XmedError:
    return XmedError("ARCHIVE_INVALID", f"{file}: {why}", "a whole file that `xmed backup` wrote", "take another copy")


def _restore_database(dump: Path, home: Path) -> None:
    """Restore the registry's database into a stack that is made for it."""
    place = StackPlace(home)
    place.folder.mkdir(exist_ok=True)
    passwords.make_passwords(home)
    with postgres.standalone_server(place) as port:
        options = ["--no-owner", "--exit-on-error", "--single-transaction", "--dbname=mlflow", str(dump)]
        postgres.run_client(place, port, "pg_restore", *options)
    place.save_ports(USUAL_PORTS)
