"""Finished runs in a shared store, under any URL that fsspec knows (s3, sftp, file ...).

URL/RUN/ holds a run's files as they lie in its folder, and MANIFEST.json with their sizes and sha256. The manifest is
written last: a copy without it is incomplete. What is read back is what was published, or it is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from xmed.errors import XmedError
from xmed.files import archives, documents
from xmed.files.digest import digest, file_digest
from xmed.files.progress import Progress
from xmed.home import Home
from xmed.run import Run

if TYPE_CHECKING:
    from xmed.records.answers import PublishedRun

MANIFEST, SCHEMA = "MANIFEST.json", "xmed-share/1"
UNFINISHED = ("checkpoint", "lock.json", "ranks.log")
"""How files begin that only the machine needs on which a training is at work."""
LARGEST = 64 << 20
"""Bytes of a manifest; a run of 100,000 files has one of 20 MB."""


def is_url(reference: str) -> bool:
    """Whether a reference is the URL of a shared store; `models:/name/3` is not."""
    return "://" in reference


def publish(run: Run, url: str, progress: Progress | None = None) -> PublishedRun:
    """Copy a run that has a report or a comparison to a shared store; files that are there already are not sent again.

    Args:
        run: The run.
        url: Where to copy it; the run gets a folder below.
        progress: Reports each file.

    Returns:
        Where the run is now, and how many of its files were copied.

    Raises:
        XmedError: USAGE, SHARE_FAILED.
    """
    if not (run.has("comparison") or (run.report / "report.json").is_file()):
        raise XmedError("USAGE", f"run {run.id} has no report yet", "a finished run", "`xmed run` goes on with it")
    place = f"{url.rstrip('/')}/{run.id}"
    paths = sorted(path for path in run.folder.rglob("*") if path.is_file() and not path.name.startswith(UNFINISHED))
    files: dict[str, dict[str, Any]] = {
        path.relative_to(run.folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in paths
    }
    with _store(place) as (store, root):
        published = _read_manifest(store, root) if store.exists(f"{root}/{MANIFEST}") else {}
        new = [name for name in files if published.get(name) != files[name]]
        for done, name in enumerate(new):
            if progress:
                progress("publish", done, len(new), name)
            store.makedirs(f"{root}/{PurePosixPath(name).parent}", exist_ok=True)
            store.put_file(str(run.folder / name), f"{root}/{name}")
        document = {"schema": SCHEMA, "run": run.id, "files": files}
        store.pipe_file(f"{root}/{MANIFEST}", json.dumps(document, indent=1).encode())
    if progress:
        progress("publish", len(new), len(new), place)
    total = sum(entry["bytes"] for entry in files.values())
    from xmed.records.answers import PublishedRun  # `xmed report verify` of a local folder builds no record

    return PublishedRun(url=place, files=len(files), copied=len(new), bytes=total, sha256=digest(files))


def fetch(url: str, home: Path, progress: Progress | None = None) -> Run:
    """Fetch a published run into a folder of the home; a run that was fetched before is not fetched again.

    Raises:
        XmedError: SHARE_FAILED (no answer, or nothing published there), FETCH_MISMATCH, PATH_UNSAFE, DISK_FULL.
    """
    with _store(url) as (store, root):
        files = _read_manifest(store, root)
        final = Home(home).fetched / digest(files)[:16] / _safe_name(PurePosixPath(root).name).name
        if final.is_dir():
            return Run(final)
        final.parent.mkdir(parents=True, exist_ok=True)
        _refuse_more_than_fits(sum(entry["bytes"] for entry in files.values()), final.parent)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=final.parent))
        try:
            for done, (name, entry) in enumerate(files.items()):
                if progress:
                    progress("fetch", done, len(files), name)
                path = part / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with store.open(f"{root}/{name}", "rb") as source, path.open("xb") as target:
                    if not _copy_checked(source, target, **entry):
                        what = f"{url}/{name} is not the file that was published"
                        raise XmedError("FETCH_MISMATCH", what, entry["sha256"][:12] + "…", "publish the run again")
            part.rename(final)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Run(final)


@contextmanager
def _store(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL, and the path in it. Whatever it says no to becomes an XmedError SHARE_FAILED."""
    import fsspec  # only where something lies in a store

    try:
        store, root = fsspec.url_to_fs(url)
        yield store, root.rstrip("/")
    except ImportError as problem:
        scheme = url.partition("://")[0]
        do = f"pip install 'xmed[{scheme}]', or what fsspec names: {problem}"
        raise XmedError("SHARE_FAILED", f"nothing here speaks {scheme}://", "its package", do) from problem
    except XmedError:
        raise
    except Exception as problem:  # each store has exceptions of its own; fsspec does not unite them
        why = " ".join(str(problem).split())[:200]
        what = f"{url}: {type(problem).__name__}: {why}"
        raise XmedError("SHARE_FAILED", what, "a store that answers, with a published run", "see its log") from problem


def _copy_checked(source: Any, target: Any, bytes: int, sha256: str) -> bool:
    """Whether a file came as its manifest names it; not a byte more than it says is asked for or written."""
    digest_of_copy, left = hashlib.sha256(), bytes
    while data := source.read(min(archives.PIECE, left + 1)):
        left -= len(data)
        if left < 0:
            return False
        digest_of_copy.update(data)
        target.write(data)
    return left == 0 and digest_of_copy.hexdigest() == sha256


def _refuse_more_than_fits(total: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if total > free:
        raise XmedError("DISK_FULL", f"the published run has {total} bytes", f"{free} bytes are free", "free some")


def _read_manifest(store: Any, root: str) -> dict[str, dict[str, Any]]:
    """Size and sha256 of each file, by its name, as the manifest says. Raises XmedError SHARE_FAILED, PATH_UNSAFE."""
    where = f"{root}/{MANIFEST}"
    with store.open(where, "rb") as file:
        data = file.read(LARGEST + 1)
    document = documents.mapping(documents.parse_json(data, where, "SHARE_FAILED", LARGEST), where, "SHARE_FAILED")
    if document.get("schema") != SCHEMA:
        raise XmedError("SHARE_FAILED", f"{where} is of another kind", SCHEMA)
    files: dict[str, Any] = documents.mapping(document.get("files"), f"{where}: files", "SHARE_FAILED")
    names = archives.Names(where, "SHARE_FAILED")
    for name, entry in files.items():
        names.add(str(_safe_name(name)))
        size, sha = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        fits = type(size) is int and size >= 0 and isinstance(sha, str) and re.fullmatch("[0-9a-f]{64}", sha)
        if not fits or len(entry) != 2:
            raise XmedError("SHARE_FAILED", f"{where} says of {name[:80]!r} something else", "bytes and sha256")
    return files


def _safe_name(name: str) -> PurePosixPath:
    safe = archives.safe_member_name("a published run", name, True, "SHARE_FAILED")
    if safe == "." or safe != name:
        raise XmedError("PATH_UNSAFE", f"a published file is named {name[:80]!r}", "a name within its run")
    return PurePosixPath(safe)


def model_at(reference: str, home: Path, progress: Progress | None = None) -> str:
    """Turn the URL of a published run into the folder of its adapted model; other references stay as they are.

    Args:
        reference: URL of a published run, or another reference to a model.
        home: The home that a published run is fetched into.
        progress: Called for each file.

    Returns:
        The folder of the adapted model, or the reference as it was.
    """
    if not is_url(reference):
        return reference
    run = fetch(reference, home, progress)
    return str(run.arm("adapted", run.study.seeds[0]) / "model")


def folder_at(reference: str, home: Path, progress: Progress | None = None) -> Path:
    """Turn the URL of a published run into its folder; other references are folders already.

    Args:
        reference: URL of a published run, or a folder.
        home: The home that a published run is fetched into.
        progress: Called for each file.

    Returns:
        The run's folder.
    """
    return fetch(reference, home, progress).folder if is_url(reference) else Path(reference)
