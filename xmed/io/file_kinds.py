"""Find files, tell their format from their first bytes instead of their name, and replace them whole."""

from __future__ import annotations

import os
import secrets
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
"""Largest allocation that a header may cause: 4 GiB hold a 512 × 512 CT of two metres in half-millimetre slices."""
GZIP_MAGIC, PNG_MAGIC, JPEG_MAGIC = b"\x1f\x8b", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
GZIP_MAX_RATIO = 1032
"""Largest expansion that Deflate can reach, a limit of the format (zlib technical notes)."""
MAX_INFLATED = 512 << 20
MAX_RATIO = 200
"""A stream that exceeds both MAX_INFLATED and this ratio is refused. An empty label map compresses 1000 to 1, but its
inflated size is smaller.
"""
MAX_FILES, MAX_FOLDERS = 500_000, 64
SIGNATURE_BYTES = 352
"""How many bytes from the start of a file are enough to tell its format."""
_NIFTI_HEADER_SIZES = {size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big")}


def require_file(path: Path) -> Path:
    """Return `path` if it is an ordinary file that is not empty.

    Raises:
        XmedError: PATH_NOT_FOUND, PATH_UNSAFE (a pipe, device or folder), EMPTY_FILE, or READER_FAILED for a file that
            the system does not open.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise XmedError("PATH_NOT_FOUND", f"{path}", "an existing file or folder") from problem
    except (OSError, ValueError) as problem:  # no permission, circular link, or impossible name
        why = getattr(problem, "strerror", None) or "no name of a file"
        raise XmedError("READER_FAILED", f"{_printable(str(path))}: {why}", "a file that can be opened") from problem
    if not stat.S_ISREG(status.st_mode):
        raise XmedError("PATH_UNSAFE", f"{path} is no ordinary file", "an ordinary file, not a pipe, device or folder")
    if status.st_size == 0:
        raise XmedError("EMPTY_FILE", f"{path.name} has no bytes", "a complete file", "copy it again from its source")
    return path


def file_kind(path: Path) -> Kind:
    """Tell the format of a file from its first bytes.

    A gzip stream counts as NIfTI, because xmed reads no other gzipped format.

    Args:
        path: The file.

    Returns:
        Its format.
    """
    with reader_errors(path.name), require_file(path).open("rb") as file:
        return kind_from_bytes(file.read(SIGNATURE_BYTES))


def kind_from_bytes(head: bytes) -> Kind:
    """Tell the format of a file from its first SIGNATURE_BYTES bytes."""
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(GZIP_MAGIC) or head[:4] in _NIFTI_HEADER_SIZES:
        return "nifti"
    if head.startswith((PNG_MAGIC, JPEG_MAGIC)):
        return "picture"
    # A file without preamble (forbidden by PS3.10, but scanners wrote it) starts with group 0002 or 0008.
    return "dicom" if head[:2] in (b"\x02\x00", b"\x08\x00") and head[3:4] == b"\x00" else "other"


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield every ordinary, not hidden file below `folder` in sorted order; unsafe ones are left out.

    See `walk_with_problems` for the files that are left out and the reasons.
    """
    return (path for path, problem in walk_with_problems(folder) if problem is None)


def walk_with_problems(folder: Path, reach: LinkPolicy | None = None) -> Iterator[tuple[Path, XmedError | None]]:
    """Yield every file below `folder` that is not hidden, with the reason if it must not be opened.

    A symbolic link to a file is accepted if it leads into the folder itself or into a folder that `reach` permits.
    Folders that cannot be listed, and linked folders outside `reach`, are also yielded with their reason. Linked
    folders are entered only where `reach` allows it.

    Args:
        folder: Where to start.
        reach: Where links may lead; by default only into `folder`.

    Yields:
        Path and problem, sorted by path; the problem is None for a file that can be opened.

    Raises:
        XmedError: PATH_UNSAFE for more than MAX_FILES files or more than MAX_FOLDERS nested folders.
    """
    for entry, problem in scan_entries(os.path.realpath(folder), reach):
        yield Path(_printable(entry.path)), problem


def scan_entries(root: str, reach: LinkPolicy | None = None) -> Iterator[tuple[os.DirEntry[str], XmedError | None]]:
    """Do the same as `walk_with_problems` for a resolved path, and yield directory entries.

    A directory entry keeps the file type that the system reported, so that no further system call is needed.

    Args:
        root: A resolved path.
        reach: The folders that links may lead to.

    Yields:
        Each entry, with the reason why it may not be read, or None.
    """
    own_policy = LinkPolicy(Path(root), reach.links if reach else ())
    count, reach = 0, reach or own_policy
    waiting: list[tuple[os.DirEntry[str] | None, int]] = [(None, 0)]
    while waiting:
        folder, depth = waiting.pop()
        entries = _list_folder(root if folder is None else folder.path)
        if entries is None:
            if folder is not None:
                shut = XmedError(
                    "READER_FAILED", f"folder {_printable(folder.name)} cannot be listed", "a folder that can be read"
                )
                yield folder, shut
            continue
        folders = [entry for entry in entries if _without_os_error(entry.is_dir)]
        files = [entry for entry in entries if not _without_os_error(entry.is_dir)]
        linked = [entry for entry in folders if entry.is_symlink() and not entry.name.startswith(".")]
        followed = {entry.name for entry in linked if reach.enters(entry.path, root)}
        count += len(files) + len(followed)  # linked folders can form endless paths
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
    """Return the sorted entries of a folder, or None if it cannot be listed."""
    try:
        with os.scandir(folder) as scan:
            return sorted(scan, key=lambda entry: entry.name)
    except FileNotFoundError:  # removed meanwhile
        return []
    except OSError:
        return None


def _without_os_error(question: Callable[[], bool]) -> bool:
    """Answer a question about a directory entry; an error of the system (circular link, no permission) means no."""
    try:
        return question()
    except OSError:  # circular link, or no permission
        return False


def _printable(path: str) -> str:
    """Return a path as text; bytes that are not UTF-8 are written as escapes."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason_unsafe(entry: os.DirEntry[str], reach: LinkPolicy) -> XmedError | None:
    """Return why a directory entry must not be opened as a file, or None."""
    if _printable(entry.path) != entry.path:
        name = Path(_printable(entry.path)).name
        return XmedError("PATH_UNSAFE", f"{name} is no text in UTF-8", "a name in UTF-8", "rename it")
    if entry.is_symlink() and not reach.holds(entry.path):
        return _leads_outside(entry)
    if not _without_os_error(entry.is_file):
        return XmedError("PATH_UNSAFE", f"{entry.name} is a pipe, a device or a broken link", "an ordinary file")
    return None


def _leads_outside(entry: os.DirEntry[str]) -> XmedError:
    return XmedError(
        "PATH_UNSAFE",
        f"{_printable(entry.name)} is a link that leads out of its folder",
        "files of its own",
        PERMIT_LINKS,
    )


def list_files(source: Source) -> list[Path]:
    """List the files of an image source.

    Args:
        source: A folder (searched recursively), a file, or a list of files.

    Returns:
        The files.

    Raises:
        XmedError: PATH_NOT_FOUND, PATH_UNSAFE, EMPTY_FILE.
    """
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
    """Refuse a compressed stream whose expansion is implausible.

    Args:
        inflated: Bytes after decompression.
        packed: Bytes before decompression.
        name: File name for the message.

    Raises:
        XmedError: INFLATE_LIMIT if both MAX_INFLATED and MAX_RATIO are exceeded.
    """
    if inflated > MAX_INFLATED and inflated > MAX_RATIO * packed:
        raise XmedError(
            "INFLATE_LIMIT",
            f"{name} expands from {packed} to more than {inflated} bytes",
            f"{MAX_INFLATED >> 20} MiB at most, or a ratio of at most {MAX_RATIO}",
        )


@contextmanager
def replace_when_complete(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces it at the end of the block and is removed after an error.

    Unlike `xmed.files.atomic`, the file is as open to others as the user's umask says: it is a result to pass on.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def reader_errors(name: str) -> Iterator[None]:
    """Turn any exception of a parser into an XmedError.

    The original message is not repeated, because it may contain names of persons.

    Args:
        name: File name for the message.

    Yields:
        Once.

    Raises:
        XmedError: OOM, NESTING (recursion limit), or READER_FAILED for any other exception.
    """
    try:
        yield
    except (XmedError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except MemoryError as problem:
        raise XmedError("OOM", f"{name} needs more memory than allowed", "a file of plausible size") from problem
    except RecursionError as problem:
        raise XmedError(
            "NESTING", f"{name} has too deeply nested parts", "no more than real data sets have"
        ) from problem
    except BaseException as problem:  # a panic of a codec in Rust is not an Exception
        raise XmedError(
            "READER_FAILED", f"{name}: the reader stopped with {type(problem).__name__}", "a file xmed can read"
        ) from problem
