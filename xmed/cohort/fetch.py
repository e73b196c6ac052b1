"""Fetch: downloads the files that a dataset spec names by URL, checks their sha256, and unpacks archives of them.

Only https, also after a redirect; never more than MAX_BYTES; a file with another sha256 is deleted. A file that was
fetched is not fetched again: a hidden file beside it records its sha256.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit

from xmed.cohort.store import naming_disk_errors
from xmed.errors import XmedError
from xmed.files import archives
from xmed.files.atomic import write_atomically
from xmed.files.digest import file_digest
from xmed.spec import DatasetSpec, FileSpec

MAX_RATIO = 100
"""Unpacked size per packed size. Images reach 2 to 5, label maps 50; more is an archive made to fill the disk."""
_SLACK = 1 << 20  # bytes that even the smallest archive may unpack to

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""By name, since some formats are zip archives inside (.npz, .docx) and must stay packed."""
MAX_BYTES = 64 << 30
TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS, SLOWEST = 600.0, 1024
"""After so many seconds a download must have a mean rate of at least so many bytes per second."""
CHUNK = 1 << 20
OpenUrl = Callable[[str], IO[bytes]]
"""Opens a URL for reading."""


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


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise URLError(f"redirected to {urlsplit(newurl).scheme}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_files(spec: DatasetSpec, root: Path, open_url: OpenUrl | None = None) -> None:
    """Fetch those of `spec.files` that are not in `root` yet, and unpack archives there.

    Args:
        spec: The dataset spec.
        root: The folder of the dataset.
        open_url: Opens a URL for reading; https by default.

    Raises:
        XmedError: FETCH_FAILED (no connection, or the server refuses), FETCH_MISMATCH (another sha256 than the spec
            names), PATH_UNSAFE or SIZE_CLAIM for an unsafe archive, ARCHIVE_INVALID, DISK_FULL, NOT_WRITABLE.
    """
    for file in spec.files:
        path = root / file.name
        mark = path.with_name(f".{path.name}.fetched")
        if _is_fetched(mark, path, file.sha256):
            continue
        with naming_disk_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            if not (path.is_file() and file_digest(path) == file.sha256):  # a user may have put it here
                _download(file, path, open_url or _https)
            if path.name.endswith(ENDINGS):
                unpack_archive(path, root)
            write_atomically(mark, f"{file.sha256} {_size_and_time(path)}\n")


def _is_fetched(mark: Path, path: Path, sha256: str) -> bool:
    """Whether the mark records this sha256 and the file is unchanged, or is an archive that was deleted later."""
    try:
        fetched, _, recorded = mark.read_text(encoding="utf-8").strip().partition(" ")
    except (OSError, ValueError):
        return False
    unpacked = path.name.endswith(ENDINGS) and not path.exists()
    return fetched == sha256 and (unpacked or recorded == _size_and_time(path))


def _size_and_time(path: Path) -> str:
    """Size and modification time of a file, which change when it is written to."""
    try:
        facts = path.stat()
    except OSError:
        return "gone"
    return f"{facts.st_size} {facts.st_mtime_ns}"


def _download(file: FileSpec, path: Path, open_url: OpenUrl) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    total, size, began = hashlib.sha256(), 0, time.monotonic()
    try:
        with open_url(file.url) as source, part.open("xb") as target:
            read = getattr(source, "read1", source.read)  # returns what has arrived; `read` waits for a chunk
            while chunk := read(CHUNK):
                size += len(chunk)
                seconds = time.monotonic() - began
                if seconds > PATIENCE_SECONDS and size < SLOWEST * seconds:
                    raise TimeoutError(f"{size} bytes in {seconds:.0f} s")
                if size > MAX_BYTES:
                    raise XmedError(
                        "FETCH_MISMATCH", f"{file.url} goes on after {MAX_BYTES >> 30} GiB", "a smaller file"
                    )
                total.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        if total.hexdigest() != file.sha256:
            raise XmedError(
                "FETCH_MISMATCH",
                f"{file.url} has sha256 {total.hexdigest()}",
                file.sha256,
                "ask the publisher which one is right; do not just copy the new one into the spec",
            )
        os.replace(part, path)
    except (URLError, HTTPException, TimeoutError, ConnectionError) as problem:
        reason = problem.reason if isinstance(problem, URLError) else problem
        do = f"fetch it where there is a connection, and put it at {path}"
        raise XmedError("FETCH_FAILED", f"{file.url}: {reason}", "an answer over https", do) from problem
    finally:
        part.unlink(missing_ok=True)


def _https(url: str) -> IO[bytes]:
    opener = urllib.request.build_opener(_HttpsOnly)
    response: IO[bytes] = opener.open(url, timeout=TIMEOUT_SECONDS)
    return response
