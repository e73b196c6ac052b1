"""Store: volumes on disk by the sha256 of what they were read from; an entry is there whole or not at all.

store/volumes/<first two>/<key>/     image.npy  fov.npy (packed bits, if any)  meta.json
store/datasets/<name>.json           which entries make a dataset
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xmed.cohort.digest_index import Index, Stamp
from xmed.errors import XmedError
from xmed.files.documents import read_json
from xmed.files.permissions import make
from xmed.files.sealed_document import is_whole, sealed
from xmed.io.notes import Note
from xmed.volume import Grid, Volume

MAX_META = 16 << 20
"""Bytes of a meta.json; a thousand notes take 200 kB."""
STALE_SECONDS = 3600.0
"""A half-written entry this old has no writer any more: no volume takes an hour to write."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Name what the operating system refuses. Raises XmedError DISK_FULL, NOT_WRITABLE."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise XmedError(
                "DISK_FULL", f"no room left below {folder}", "free space", "make room, run again"
            ) from problem
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            do = "set XMED_HOME to a folder you own"
            raise XmedError("NOT_WRITABLE", f"{folder}: {problem.strerror}", "a writable folder", do) from problem
        raise


@dataclass(frozen=True)
class Store:
    """The content-addressed store below one home."""

    home: Path

    @cached_property
    def index(self) -> Index:
        """What is known of the files of this home's entries, and of those that they were read from."""
        return Index(self.home)

    @property
    def volumes(self) -> Path:
        return self.home / "store" / "volumes"

    def folder(self, key: str) -> Path:
        """Where the entry of a key lies, whether it exists or not."""
        return self.volumes / key[:2] / key

    def dataset(self, name: str) -> Path:
        """Where the manifest of a dataset lies, whether it exists or not."""
        return self.home / "store" / "datasets" / f"{name}.json"

    def meta(self, key: str) -> dict[str, Any]:
        """shape, spacing_mm, affine (LPS+), frame, modality, digest, notes and facts of an entry, without its voxels.

        Raises XmedError PATH_NOT_FOUND when the entry is gone, or does not say any more what it said when it was
        written.
        """
        try:
            document = read_json(self.folder(key) / "meta.json", most=MAX_META)
            if not _is_meta(document, key):
                raise _gone(key)
        except (XmedError, OSError) as problem:
            raise _gone(key) from problem
        return dict(document)

    def get(self, key: str) -> Volume:
        """The volume of an entry, memory-mapped and read-only.

        Its voxels are read once more where a file of the entry is not as it was when last they had their digest.

        Raises XmedError PATH_NOT_FOUND when it is gone or damaged.
        """
        meta = self.meta(key)
        try:
            seen = self._seen(key, "seal" in meta)
            volume = _opened(self.folder(key), meta)
            if self.index.find(seen) != seen:
                if digest_of(volume) != meta["sha256"]:
                    raise _gone(key)
                self.index.keep(seen)
            return volume
        except Exception as problem:  # a damaged array makes its reader raise anything, from EOFError to BadZipFile
            raise _gone(key) from problem

    def intact(self, key: str) -> bool:
        """Whether the entry is there, sealed, and its voxels still have the digest they were written with.

        They are read again only where a file of the entry is not as it was when last they had it. Entries of version
        0.1.0 have no seal: they open, and an ingest of their files writes them anew.
        """
        try:
            seen = self._seen(key, True)
            if self.index.find(seen) == seen:
                return True
            if "seal" not in self.meta(key):
                return False
            self.get(key)
            return True
        except (OSError, XmedError):
            return False

    def put(self, key: str, volume: Volume, notes: Sequence[Note] = (), facts: Mapping[str, str] | None = None) -> None:
        """Write an entry, its reader's notes and the facts of its header.

        Its bytes are on the disk when it gets its name; the name itself is after `flush`. Whoever comes second with the
        same key throws its own copy away; a damaged entry is replaced. Raises XmedError DISK_FULL, NOT_WRITABLE.
        """
        volume = volume.with_array(compact(volume.array))
        final = self.folder(key)
        part = self.volumes / f".part-{secrets.token_hex(8)}"
        with writing(self.home):
            make(self.home)
            part.mkdir(parents=True)
            final.parent.mkdir(exist_ok=True)
            try:
                _write(part, key, volume, notes, facts or {})
                if final.exists() and not self.intact(key):
                    final.rename(self.volumes / f".part-{secrets.token_hex(8)}")
                part.rename(final)
                self.index.keep(self._seen(key, True))
            except OSError as problem:
                if problem.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def flush(self, keys: Iterable[str]) -> None:
        """See to it that the names of these entries outlast a power cut. Raises XmedError DISK_FULL, NOT_WRITABLE."""
        folders = {self.folder(key).parent for key in keys}
        with writing(self.home):
            for folder in [*sorted(folders), *([self.volumes] if folders else [])]:
                _flush(folder)

    def _seen(self, key: str, with_seal: bool) -> dict[Stamp, str]:
        """What the index keeps of a whole entry: what each of its files is like, of how many. Raises OSError."""
        with os.scandir(self.folder(key)) as found:
            stamps = [Stamp.of(entry.stat()) for entry in found]
        return dict.fromkeys(stamps, f"{key} {'sealed' if with_seal else 'old'} of {len(stamps)}")

    def sweep(self) -> None:
        """Remove what writers that were killed left behind."""
        for part in [*self.volumes.glob(".part-*"), *(self.home / "store" / "datasets").glob(".*")]:
            try:
                age = abs(time.time() - part.stat().st_mtime)  # clocks are set back, too
            except FileNotFoundError:  # another ingest swept it
                continue
            if age > STALE_SECONDS and part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            elif age > STALE_SECONDS:
                part.unlink(missing_ok=True)


def compact(array: np.ndarray) -> np.ndarray:
    """The same values in a type no wider than needed: int8 … int32, uint8, uint16 or float32.

    In Fortran order, i fastest: so scanners write them, and nothing has to be turned round on the way to the disk.
    """
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.itemsize == 8 or array.dtype == np.uint32:
        fits = array.size == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
        array = array.astype(np.int32 if fits else np.float32)
    return np.asfortranarray(array, dtype=array.dtype.newbyteorder("="))


def digest_of(volume: Volume) -> str:
    """sha256 (hex) of voxel type, shape, values (i fastest) and field of view: the same pixels, wherever from."""
    head = f"{volume.array.dtype.str} {volume.array.shape} ".encode()
    total = hashlib.sha256(head)
    total.update(np.ascontiguousarray(volume.array.T).data)
    if volume.fov is not None:
        total.update(np.packbits(volume.fov).data)
    return total.hexdigest()


def _opened(folder: Path, meta: Mapping[str, Any]) -> Volume:
    """The volume that an entry's files hold; whatever is wrong with them raises."""
    array, fov = _array(folder / "image.npy"), None
    if list(array.shape) != meta["shape"]:
        raise ValueError("another shape")
    if meta["fov"]:
        bits = np.unpackbits(_array(folder / "fov.npy"), count=array.size)
        fov = bits.reshape(array.shape).astype(bool)
    return Volume(array, np.array(meta["affine"]), meta["frame"], meta["modality"], fov)


def _array(path: Path) -> np.ndarray:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("no ordinary file")  # a pipe would be waited for
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: no more than there is
    return found


def _is_meta(document: Any, key: str) -> bool:
    """Whether a document is what `_write` wrote for this key; one of version 0.1.0, without a seal, by what it says
    twice: voxel edges by themselves and in the affine."""
    if not isinstance(document, dict):
        return False
    try:
        if "seal" in document:
            return is_whole(document, key)
        edges = Grid(tuple(document["shape"]), np.array(document["affine"]), document["frame"]).spacing
        told = {"modality", "fov", "sha256"} <= document.keys() and np.shape(document["spacing_mm"]) == (3,)
        return told and bool(np.allclose(edges, document["spacing_mm"], rtol=1e-6, atol=0))
    except (KeyError, TypeError, ValueError, XmedError):
        return False


def _write(folder: Path, key: str, volume: Volume, notes: Sequence[Note], facts: Mapping[str, str]) -> None:
    arrays = {"image.npy": volume.array}
    if volume.fov is not None:
        arrays["fov.npy"] = np.packbits(volume.fov)
    for name, array in arrays.items():
        with (folder / name).open("xb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # left in memory, a thousand series would push out what others work with
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    # Of a DICOM header only `read_header_metadata` is kept, UIDs keyed: what is not stored cannot leak.
    meta = {
        "shape": list(volume.array.shape),
        "spacing_mm": list(volume.spacing),
        "affine": volume.affine.tolist(),
        "frame": volume.frame,
        "modality": volume.modality,
        "fov": volume.fov is not None,
        "sha256": digest_of(volume),
        "notes": [asdict(made) for made in notes],
        "facts": dict(facts),
    }
    with (folder / "meta.json").open("x", encoding="utf-8") as text:
        json.dump(sealed(meta, key), text, allow_nan=False)
        text.flush()
        os.fsync(text.fileno())


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _gone(key: str) -> XmedError:
    return XmedError("PATH_NOT_FOUND", f"store entry {key[:12]}… is gone or damaged", "a whole entry", "ingest again")
