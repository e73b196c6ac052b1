"""File kinds: what lies at a path and of which kind, judged by its first bytes, never by its name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from xmed.errors import XmedError
from xmed.io.links import PERMIT_LINKS, LinkPolicy

Kind = Literal["dicom", "nifti", "picture", "other"]
Source = str | Path | Sequence[str | Path]

MAX_BYTES = 4 << 30
"""No header makes xmed allocate more than this; 4 GiB hold a 512 × 512 CT of two metres in half-millimetre slices."""
GZIP_MAGIC, PNG_MAGIC, JPEG_MAGIC = b"\x1f\x8b", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
GZIP_MAX_RATIO = 1032
"""Deflate cannot expand a byte into more (zlib's technical notes: the limit of the format)."""
MAX_INFLATED = 512 << 20
MAX_RATIO = 200
"""A stream that swells beyond both is a bomb: an empty label map packs a thousand to one, but is not that large."""
MAX_FILES, MAX_FOLDERS = 500_000, 64
SIGNATURE_BYTES = 352
"""Bytes at its beginning that tell what a file holds."""
_NIFTI_HEADER_SIZES = {size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big")}


def require_file(path: Path) -> Path:
    """`path`, when it is an ordinary file with bytes. Raises XmedError PATH_NOT_FOUND, PATH_UNSAFE, EMPTY_FILE."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise XmedError("PATH_NOT_FOUND", f"{path}", "an existing file or folder") from problem
    except (OSError, ValueError) as problem:  # closed to this user, a link in circles, a name that no disk has
        why = getattr(problem, "strerror", None) or "no name of a file"
        raise XmedError("READER_FAILED", f"{_printable(str(path))}: {why}", "a file that can be opened") from problem
    if not stat.S_ISREG(status.st_mode):
        raise XmedError("PATH_UNSAFE", f"{path} is no ordinary file", "a file of bytes, no pipe, device or folder")
    if status.st_size == 0:
        raise XmedError("EMPTY_FILE", f"{path.name} has no bytes", "a complete file", "copy it again from its source")
    return path


def file_kind(path: Path) -> Kind:
    """What a file holds. A gzip stream is taken for NIfTI: nothing else that xmed reads is gzipped."""
    with reader_errors(path.name), require_file(path).open("rb") as file:
        return kind_from_bytes(file.read(SIGNATURE_BYTES))


def kind_from_bytes(head: bytes) -> Kind:
    """What a file holds that begins with these SNIFFED bytes."""
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(GZIP_MAGIC) or head[:4] in _NIFTI_HEADER_SIZES:
        return "nifti"
    if head.startswith((PNG_MAGIC, JPEG_MAGIC)):
        return "picture"
    # A data set without preamble (PS3.10 forbids it, scanners wrote it) opens with group 0002 or 0008, little endian.
    return "dicom" if head[:2] in (b"\x02\x00", b"\x08\x00") and head[3:4] == b"\x00" else "other"


def walk_files(folder: Path) -> Iterator[Path]:
    """Every ordinary file below `folder`, sorted, less hidden ones; what is unsafe is passed over, see `walk_with_problems`."""
    return (path for path, problem in walk_with_problems(folder) if problem is None)


def walk_with_problems(folder: Path, reach: LinkPolicy | None = None) -> Iterator[tuple[Path, XmedError | None]]:
    """Every file below `folder`, sorted, less hidden ones, and why it may not be opened.

    A linked file may lie in the folder itself or where `reach` permits links to lead. A folder that nobody may look
    into is one of them, with its reason; so is a link to a folder that leads out of `reach`, by default the folder
    itself. Linked folders stay shut but where `reach` permits to enter them.

    Raises XmedError PATH_UNSAFE for a tree of more than MAX_FILES files or MAX_FOLDERS folders in one another.
    """
    for entry, problem in scan_entries(os.path.realpath(folder), reach):
        yield Path(_printable(entry.path)), problem


def scan_entries(root: str, reach: LinkPolicy | None = None) -> Iterator[tuple[os.DirEntry[str], XmedError | None]]:
    """As `walk_with_problems`, below a folder whose path is resolved, with what the system said of each file in passing."""
    own_policy = LinkPolicy(Path(root), reach.links if reach else ())
    count, reach = 0, reach or own_policy
    waiting: list[tuple[os.DirEntry[str] | None, int]] = [(None, 0)]
    while waiting:
        folder, depth = waiting.pop()
        entries = _list_folder(root if folder is None else folder.path)
        if entries is None:
            if folder is not None:
                shut = XmedError(
                    "READER_FAILED", f"folder {_printable(folder.name)} cannot be looked into", "one that can"
                )
                yield folder, shut
            continue
        folders = [entry for entry in entries if _without_os_error(entry.is_dir)]
        files = [entry for entry in entries if not _without_os_error(entry.is_dir)]
        linked = [entry for entry in folders if entry.is_symlink() and not entry.name.startswith(".")]
        followed = {entry.name for entry in linked if reach.enters(entry.path, root)}
        count += len(files) + len(followed)  # links could lead through a few folders in endless many ways
        if count > MAX_FILES or depth > MAX_FOLDERS:
            raise XmedError(
                "PATH_UNSAFE",
                f"more than {MAX_FILES} files, or {MAX_FOLDERS} folders in one another",
                "the folder of one dataset",
                "name a smaller folder",
            )
        for entry in files:
            if not entry.name.startswith("."):
                yield entry, _reason_unsafe(entry, own_policy)
        yield from ((entry, _leads_outside(entry)) for entry in linked if not reach.holds(entry.path))
        entered = [entry for entry in folders if entry.name in followed or not entry.is_symlink()]
        waiting += [(entry, depth + 1) for entry in reversed(entered)]


def _list_folder(folder: str) -> list[os.DirEntry[str]] | None:
    """What lies in a folder, sorted; None where nobody may look into it."""
    try:
        with os.scandir(folder) as scan:
            return sorted(scan, key=lambda entry: entry.name)
    except FileNotFoundError:  # gone
        return []
    except OSError:
        return None


def _without_os_error(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link in circles, or into what nobody may look at
        return False


def _printable(path: str) -> str:
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason_unsafe(entry: os.DirEntry[str], reach: LinkPolicy) -> XmedError | None:
    if _printable(entry.path) != entry.path:
        name = Path(_printable(entry.path)).name
        return XmedError("PATH_UNSAFE", f"{name} is no text in UTF-8", "a name in UTF-8", "rename it")
    if entry.is_symlink() and not reach.holds(entry.path):
        return _leads_outside(entry)
    if not _without_os_error(entry.is_file):
        return XmedError("PATH_UNSAFE", f"{entry.name} is a pipe, a device or a dead link", "a file of bytes")
    return None


def _leads_outside(entry: os.DirEntry[str]) -> XmedError:
    return XmedError(
        "PATH_UNSAFE", f"{_printable(entry.name)} is a link out of its folder", "files of its own", PERMIT_LINKS
    )


def list_files(source: Source) -> list[Path]:
    """The files that a folder, a file or a list of files names. Raises XmedError PATH_NOT_FOUND, PATH_UNSAFE."""
    if not isinstance(source, str | Path):
        return [require_file(Path(path)) for path in source]
    path = Path(source)
    if not path.is_dir():
        return [require_file(path)]
    files = []
    for inner, problem in walk_with_problems(path):
        if problem:
            raise problem
        files.append(inner)
    return files


def check_compression_ratio(inflated: int, packed: int, name: str) -> None:
    """Raises XmedError INFLATE_LIMIT when this many bytes out of that many are too much of both."""
    if inflated > MAX_INFLATED and inflated > MAX_RATIO * packed:
        raise XmedError(
            "INFLATE_LIMIT",
            f"{name} swells from {packed} bytes beyond {inflated}",
            f"{MAX_INFLATED >> 20} MiB, or {MAX_RATIO} to one",
        )


@contextmanager
def reader_errors(name: str) -> Iterator[None]:
    """Whatever a parser throws at a bad file leaves as an XmedError. Its message may name people: it is not quoted."""
    try:
        yield
    except (XmedError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except MemoryError as problem:
        raise XmedError("OOM", f"{name} needs more memory than it may have", "a file of credible size") from problem
    except RecursionError as problem:
        raise XmedError("NESTING", f"{name} nests its parts too deeply", "a data set of real life") from problem
    except BaseException as problem:  # a codec in Rust panics, and a panic is no Exception
        raise XmedError(
            "READER_FAILED", f"{name}: the reader stopped with {type(problem).__name__}", "a file xmed can read"
        ) from problem
