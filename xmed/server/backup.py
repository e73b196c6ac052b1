"""Backup of a home as one file: registry, runs, store, reports and audit log as they were at one moment.

Servers and runs may be at work meanwhile. While the registry's lock is held, everything that may still change is set
aside: files are linked, the database is dumped. Volumes of the store never change, and are read afterwards.

No key is in a backup: whoever holds one must not be able to undo pseudonyms or to log in to a server. Left out are the
key of de-identification (the crosswalk, which it encrypts, is in), the passwords of `xmed up` (a restored stack makes
its own) and MLflow's table of users. Prefect's schedules are left out too: a copy must not start runs by itself.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from xmed import __version__
from xmed.errors import XmedError
from xmed.files.locks import hold_lock
from xmed.files.permissions import check_output
from xmed.home import Home
from xmed.records.home_backup import BackupManifest, BackupSummary, RegistryKind
from xmed.records.record import content
from xmed.server.prefect_server import server_lock
from xmed.server.stack import postgres
from xmed.server.stack.paths import StackPlace, mlflow_url

MANIFEST, DUMP, FILES = "manifest.json", "registry.dump", "home"
VOLUMES, ARTIFACTS, EMBEDDED = Path("store/volumes"), Path("stack/mlartifacts"), Path("mlflow.db")
LEFT_OUT = (
    "prefect", "locks", "logs", "waiting", "models", "fetched", "stack", "cache", "precision.json", "precision.lock",
    "deidentify/key", "store/index.db",
)  # fmt: skip
"""Folders and files that are no part of a backup: keys, what belongs to processes of this machine, and what can be made
again (fetched models, the index of files)."""
GROWING, OF_PROCESSES = (".jsonl", ".csv", ".log"), (".lock", "-wal", "-shm", "-journal")
DEIDENTIFY, CROSSWALK = "deidentify", "deidentify/crosswalk"
DOCUMENTS = (".db", ".json", ".jsonl")
"""Endings of the files that xmed keeps directly in the home: registry, audit log and what goes with it."""
GZIP_LEVEL = 1  # voxels and weights hardly shrink, and everything else is small


def backup(home: Path, out: Path) -> BackupSummary:
    """Write a backup that only its owner can read.

    Args:
        home: The home to back up.
        out: The file to write; it must not exist. It is compressed where its name ends in .gz or .tgz.

    Returns:
        What is in it.

    Raises:
        XmedError: OUTPUT_EXISTS, PATH_NOT_FOUND, USAGE (the registry is not in this home), SERVER_FAILED, BUSY.
    """
    if out.exists():
        raise XmedError("OUTPUT_EXISTS", f"{out} is there", "a new file", "another name")
    if not home.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"no home {home}", "a folder that xmed wrote", "set XMED_HOME")
    out.parent.mkdir(parents=True, exist_ok=True)
    check_output(out)
    place = StackPlace(home)
    _refuse_foreign_registry(place)
    part = out.with_name(f".{out.name}.part")
    with ExitStack() as stack:
        stack.enter_context(hold_lock(Home(home).backup_lock, wait=False, what="xmed backup"))
        stack.callback(part.unlink, missing_ok=True)
        aside = stack.enter_context(_folder_aside(home))
        registry_kind = _set_aside(place, aside)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            is_compressed = out.suffix in (".gz", ".tgz")
            stream: Any = (
                stack.enter_context(gzip.GzipFile(fileobj=file, mode="wb", compresslevel=GZIP_LEVEL))
                if is_compressed
                else file
            )
            with tarfile.open(fileobj=stream, mode="w") as archive:
                manifest = _write_archive(archive, place, aside, registry_kind)
            if is_compressed:
                stream.close()
            file.flush()
            os.fsync(file.fileno())
        part.rename(out)
    return BackupSummary(
        file=str(out),
        files=len(manifest.files),
        bytes=out.stat().st_size,
        made=manifest.made_at,
        home=manifest.home,
        registry=manifest.registry,
    )


def _refuse_foreign_registry(place: StackPlace) -> None:
    """Refuse a home whose registry is in a server elsewhere; `xmed up`'s own is fine."""
    uri, ports = os.environ.get("MLFLOW_TRACKING_URI"), place.ports()
    if uri and (ports is None or uri != mlflow_url(ports)):
        parts = urlsplit(uri)
        what = f"the registry is at {parts.scheme}://{parts.hostname or ''}{parts.path if not parts.hostname else ''}"
        raise XmedError("USAGE", what, "one in this home", "back that server up by its own means")


@contextmanager
def _folder_aside(home: Path) -> Iterator[Path]:
    """A folder on the same disk, so that files can be linked into it; what a killed backup left there is deleted."""
    folder = Home(home).backup_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _set_aside(place: StackPlace, aside: Path) -> RegistryKind | None:
    """Set aside everything that may change, as it is at this moment; returns the kind of the registry."""
    from xmed.registry import audit_log
    from xmed.registry.tracking_store import registry_lock

    home = place.home
    with registry_lock(home), audit_log.locked(home / audit_log.LOCK):
        if place.ports():
            _dump(place, aside / DUMP)
        for path in _files(home):
            if VOLUMES not in path.parents:
                _keep_state(home / path, aside / FILES / path)
    return "postgresql" if place.ports() else "sqlite" if (home / EMBEDDED).is_file() else None


def _keep_state(source: Path, target: Path) -> None:
    """Link a file that is replaced but never written to; copy one that grows, and a database."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".db":
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
            original.backup(copy)
        return
    with suppress(FileNotFoundError):  # gone meanwhile, as a checkpoint may be
        if source.suffix not in GROWING:
            with suppress(OSError):  # a file system without links
                os.link(source, target)
                return
        shutil.copy2(source, target)


def belongs_in_backup(path: PurePath) -> bool:
    """Whether a file of a home is part of a backup: `backup` writes such files, and `restore` accepts no others.

    Upper and lower case make no difference, as on some disks.

    Args:
        path: The file, relative to the home.
    """
    name = path.as_posix().casefold()
    parents = [parent.as_posix() for parent in PurePath(name).parents]
    if any(part.startswith(".") for part in PurePath(name).parts) or name.endswith(OF_PROCESSES):
        return False
    if ARTIFACTS.as_posix() in parents:
        return path.is_relative_to(ARTIFACTS)
    is_left_out = any(part in LEFT_OUT for part in (name, *parents))
    if is_left_out or (DEIDENTIFY in parents and not name.startswith(CROSSWALK)):
        return False
    return len(parents) > 1 or name.endswith(DOCUMENTS)


def _files(home: Path) -> Iterator[Path]:
    """The files of a backup, relative to the home; files whose name begins with a dot are half-written and left out."""
    for start in (home, home / ARTIFACTS):
        for folder, names, files in os.walk(start):
            here = Path(folder).relative_to(home)
            names[:] = [name for name in names if not name.startswith(".") and str(here / name) not in LEFT_OUT]
            yield from (here / name for name in files if belongs_in_backup(here / name))


def _dump(place: StackPlace, out: Path) -> None:
    """Dump MLflow's tracking database as one transaction sees it; where the stack is down, its database is started."""
    with ExitStack() as stack:
        ports = place.ports()
        if ports and place.supervisor_pid():
            port = ports.postgres
        else:
            stack.enter_context(hold_lock(server_lock(place.home), wait=False, what="xmed backup"))
            port = stack.enter_context(postgres.standalone_server(place))
        postgres.run_client(place, port, "pg_dump", "--format=custom", "--file", str(out), "mlflow")


class _HashedFile:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        return data


def _write_archive(
    archive: tarfile.TarFile, place: StackPlace, aside: Path, registry_kind: RegistryKind | None
) -> BackupManifest:
    """Write every file, and last of all the manifest with their hashes."""
    paths = {path.relative_to(aside).as_posix(): path for path in aside.rglob("*")}
    paths |= {f"{FILES}/{path.relative_to(place.home).as_posix()}": path for path in (place.home / VOLUMES).rglob("*")}
    hashes: dict[str, str] = {}
    for name, path in sorted(paths.items()):
        if path.is_file():
            with path.open("rb") as file:
                hashed = _HashedFile(file)
                _add_member(archive, name, os.fstat(file.fileno()).st_size, hashed)
                hashes[name] = hashed.sha256.hexdigest()
    manifest = BackupManifest(
        format="xmed-backup/1",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        xmed=__version__,
        home=str(place.home),
        registry=registry_kind,
        files=hashes,
    )
    text = json.dumps(content(manifest), indent=1).encode()
    _add_member(archive, MANIFEST, len(text), BytesIO(text))
    return manifest


def _add_member(archive: tarfile.TarFile, name: str, size: int, file: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(time.time())
    archive.addfile(member, file)
