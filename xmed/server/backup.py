"""Backup: a home as one file: registry, runs, store, reports and audit log as they stood at one moment.

Servers and runs may be at work meanwhile. Under the registry's lock, for as long as it takes to link files and dump a
database, everything is set aside that may still change; volumes of the store never do, and are read afterwards.

No key is in it: whoever holds a backup shall not be able to undo pseudonyms or to enter a server. Left out are the key
of de-identification (the crosswalk, which it encrypts, is in), the passwords of `xmed up` (a restored stack makes its
own) and MLflow's table of users. So are Prefect's schedules: a copy shall not start runs by itself.
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
from xmed.console.run_lock import locked
from xmed.errors import XmedError
from xmed.files.writable import check_output
from xmed.server.prefect_server import server_lock
from xmed.server.stack import postgres
from xmed.server.stack.paths import Place, mlflow_url

FORMAT, MANIFEST, DUMP, FILES = "xmed-backup/1", "manifest.json", "registry.dump", "home"
VOLUMES, ARTIFACTS, EMBEDDED = Path("store/volumes"), Path("stack/mlartifacts"), Path("mlflow.db")
LEFT_OUT = ("prefect", "locks", "logs", "waiting", "models", "fetched", "stack", "deidentify/key", "store/index.db")
"""Keys; what belongs to processes of this machine; and what can be had again (fetched models, the index of files)."""
GROWING, OF_PROCESSES = (".jsonl", ".csv", ".log"), (".lock", "-wal", "-shm", "-journal")
DEIDENTIFY, CROSSWALK = "deidentify", "deidentify/crosswalk"
DOCUMENTS = (".db", ".json", ".jsonl")
"""Endings of the files that xmed keeps in the home itself, in no folder: registry, audit log and what goes with it."""
POSTGRESQL, SQLITE = "postgresql", "sqlite"
LIGHTLY = 1  # of gzip: voxels and weights hardly shrink, and everything else is small


def backup(home: Path, out: Path) -> dict[str, Any]:
    """Write a backup; returns what is in it. A name that ends with gz is compressed; the file is for its owner alone.

    Raises XmedError OUTPUT_EXISTS, PATH_NOT_FOUND, USAGE (the registry is not in this home), SERVER_FAILED, BUSY.
    """
    if out.exists():
        raise XmedError("OUTPUT_EXISTS", f"{out} is there", "a new file", "another name")
    if not home.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"no home {home}", "a folder that xmed wrote", "set XMED_HOME")
    out.parent.mkdir(parents=True, exist_ok=True)
    check_output(out)
    place = Place(home)
    _registry_is_here(place)
    part = out.with_name(f".{out.name}.part")
    with ExitStack() as held:
        held.enter_context(locked(home / "locks" / "backup.json", wait=False, what="xmed backup"))
        held.callback(part.unlink, missing_ok=True)
        aside = held.enter_context(_aside(home))
        kind = _set_aside(place, aside)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            zipped = out.suffix in (".gz", ".tgz")
            stream = (
                held.enter_context(gzip.GzipFile(fileobj=file, mode="wb", compresslevel=LIGHTLY)) if zipped else file
            )
            with tarfile.open(fileobj=stream, mode="w") as archive:
                document = _write(archive, place, aside, kind)
            stream.close() if zipped else None
            file.flush()
            os.fsync(file.fileno())
        part.rename(out)
    told = {key: document[key] for key in ("made", "home", "registry")}
    return {"file": str(out), "files": len(document["files"]), "bytes": out.stat().st_size, **told}


def _registry_is_here(place: Place) -> None:
    stated, ports = os.environ.get("MLFLOW_TRACKING_URI"), place.ports()
    if stated and (ports is None or stated != mlflow_url(ports)):
        where = urlsplit(stated)
        what = f"the registry is at {where.scheme}://{where.hostname or ''}{where.path if not where.hostname else ''}"
        raise XmedError("USAGE", what, "one in this home", "back that server up by its own means")


@contextmanager
def _aside(home: Path) -> Iterator[Path]:
    """A folder beside the files, so that they can be linked into it; one that a killed backup left goes, too."""
    folder = home / "locks" / "backup"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _set_aside(place: Place, aside: Path) -> str | None:
    """Everything that may change, as it is at this moment; returns of which kind the registry is."""
    from xmed.registry import audit_log
    from xmed.registry.tracking_store import registry_lock

    home = place.home
    with registry_lock(home), audit_log.locked(home / audit_log.LOCK):
        if place.ports():
            _dump(place, aside / DUMP)
        for path in _files(home):
            if VOLUMES not in path.parents:
                _keep(home / path, aside / FILES / path)
    return POSTGRESQL if place.ports() else SQLITE if (home / EMBEDDED).is_file() else None


def _keep(source: Path, target: Path) -> None:
    """A second name for a file that is replaced but never written to; a copy of one that grows, or of a database."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".db":
        with closing(sqlite3.connect(source)) as theirs, closing(sqlite3.connect(target)) as copy:
            theirs.backup(copy)
        return
    with suppress(FileNotFoundError):  # gone meanwhile, as a checkpoint may be
        if source.suffix not in GROWING:
            with suppress(OSError):  # a file system without links
                os.link(source, target)
                return
        shutil.copy2(source, target)


def held(path: PurePath) -> bool:
    """Whether a backup holds this file of a home: what `backup` writes, and all that `restore` takes.

    Capitals make no other file of it, since there are disks that see no difference.
    """
    name = path.as_posix().casefold()
    above = [one.as_posix() for one in PurePath(name).parents]
    if any(part.startswith(".") for part in PurePath(name).parts) or name.endswith(OF_PROCESSES):
        return False
    if ARTIFACTS.as_posix() in above:
        return path.is_relative_to(ARTIFACTS)
    if any(one in LEFT_OUT for one in (name, *above)) or (DEIDENTIFY in above and not name.startswith(CROSSWALK)):
        return False
    return len(above) > 1 or name.endswith(DOCUMENTS)


def _files(home: Path) -> Iterator[Path]:
    """What a backup holds, relative to the home; half-written files, which begin with a dot, are not."""
    for start in (home, home / ARTIFACTS):
        for folder, names, files in os.walk(start):
            here = Path(folder).relative_to(home)
            names[:] = [one for one in names if not one.startswith(".") and str(here / one) not in LEFT_OUT]
            yield from (here / one for one in files if held(here / one))


def _dump(place: Place, out: Path) -> None:
    """MLflow's tracking database as one transaction sees it. A stack that is down lends its database for it."""
    with ExitStack() as held:
        ports = place.ports()
        if ports and place.keeper():
            port = ports.postgres
        else:
            held.enter_context(locked(server_lock(place.home), wait=False, what="xmed backup"))
            port = held.enter_context(postgres.alone(place))
        postgres.client(place, port, "pg_dump", "--format=custom", "--file", str(out), "mlflow")


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        return data


def _write(archive: tarfile.TarFile, place: Place, aside: Path, kind: str | None) -> dict[str, Any]:
    """Every file, and last of all the manifest with their hashes."""
    named = {path.relative_to(aside).as_posix(): path for path in aside.rglob("*")}
    named |= {f"{FILES}/{path.relative_to(place.home).as_posix()}": path for path in (place.home / VOLUMES).rglob("*")}
    hashes: dict[str, str] = {}
    for name, path in sorted(named.items()):
        if path.is_file():
            with path.open("rb") as file:
                read = _Hashed(file)
                _add(archive, name, os.fstat(file.fileno()).st_size, read)
                hashes[name] = read.sha256.hexdigest()
    document = {"format": FORMAT, "made": datetime.now(UTC).isoformat(timespec="seconds"), "xmed": __version__}
    found = {**document, "home": str(place.home), "registry": kind, "files": hashes}
    text = json.dumps(found, indent=1).encode()
    _add(archive, MANIFEST, len(text), BytesIO(text))
    return found


def _add(archive: tarfile.TarFile, name: str, size: int, file: Any) -> None:
    facts = tarfile.TarInfo(name)
    facts.size, facts.mode, facts.mtime = size, 0o600, int(time.time())
    archive.addfile(facts, file)
