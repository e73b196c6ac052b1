"""Store: volumes on disk by the sha256 of what they were read from; an entry is complete or absent.

store/volumes/<first two>/<key>/     image.npy  fov.npy (packed bits, if any)  meta.json
store/datasets/<name>.json           which entries make a dataset
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xmed.cohort.digest_index import DigestIndex, FileState
from xmed.cohort.stored_entry import is_entry_document, narrowest_type, open_entry, voxel_digest, write_entry
from xmed.errors import XmedError
from xmed.files.atomic import flush_folder
from xmed.files.documents import read_json
from xmed.files.permissions import make_private_home
from xmed.home import Home
from xmed.io.notes import Note
from xmed.records.record import parse
from xmed.records.stored_volume import StoredVolume
from xmed.volume import Volume

MAX_META = 16 << 20
"""Bytes of a meta.json; a thousand notes take 200 kB."""
STALE_SECONDS = 3600.0
"""A half-written entry of this age is abandoned: no volume takes an hour to write."""


@contextmanager
def naming_disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the operating system into coded ones.

    Args:
        folder: The folder that is written to, for the message.

    Yields:
        Nothing.

    Raises:
        XmedError: DISK_FULL, NOT_WRITABLE.
    """
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
    def index(self) -> DigestIndex:
        """The digests of this home's entries and of the files that they were read from."""
        return DigestIndex(self.home)

    @property
    def volumes(self) -> Path:
        """The folder of all entries."""
        return Home(self.home).volumes

    def folder(self, key: str) -> Path:
        """Name the folder of an entry, whether it exists or not.

        Args:
            key: Key of the entry, sha256 (hex).

        Returns:
            Its folder.
        """
        return self.volumes / key[:2] / key

    def dataset(self, name: str) -> Path:
        """Name the file of a dataset's manifest, whether it exists or not.

        Args:
            name: The dataset's name.

        Returns:
            Path of the manifest.
        """
        return Home(self.home).datasets / f"{name}.json"

    def meta(self, key: str) -> StoredVolume:
        """Read the document of an entry, without its voxels.

        Args:
            key: sha256 (hex) of what the volume was read from.

        Returns:
            The document.

        Raises:
            XmedError: PATH_NOT_FOUND when the entry is missing, or its document was changed since it was written.
        """
        try:
            document = read_json(self.folder(key) / "meta.json", most=MAX_META)
            if not is_entry_document(document, key):
                raise _gone(key)
            return parse(StoredVolume, document, key)
        except (XmedError, OSError) as problem:
            raise _gone(key) from problem

    def get(self, key: str) -> Volume:
        """Open the volume of an entry, memory-mapped and read-only.

        Its voxels are digested again if a file of the entry changed since the digest was last checked.

        Args:
            key: Key of the entry, sha256 (hex).

        Returns:
            The volume.

        Raises:
            XmedError: PATH_NOT_FOUND when the entry is missing or damaged.
        """
        meta = self.meta(key)
        try:
            states = self._states(key, meta.seal is not None)
            volume = open_entry(self.folder(key), meta)
            if self.index.find(states) != states:
                if voxel_digest(volume) != meta.sha256:
                    raise _gone(key)
                self.index.keep(states)
            return volume
        except Exception as problem:  # a damaged array makes its reader raise anything, from EOFError to BadZipFile
            raise _gone(key) from problem

    def intact(self, key: str) -> bool:
        """Check an entry.

        The voxels are read again only if a file of the entry changed since the digest was last checked. Entries of
        version 0.1.0 have no seal: they can be opened, and an ingest of their files writes them again.

        Args:
            key: Key of the entry, sha256 (hex).

        Returns:
            Whether it exists, is sealed, and its voxels have the digest that they were written with.
        """
        try:
            states = self._states(key, True)
            if self.index.find(states) == states:
                return True
            if self.meta(key).seal is None:
                return False
            self.get(key)
            return True
        except (OSError, XmedError):
            return False

    def put(self, key: str, volume: Volume, notes: Sequence[Note] = (), facts: Mapping[str, str] | None = None) -> None:
        """Write an entry.

        Its bytes are on the disk before it gets its name; the name is on the disk after `flush`. If another process
        writes the same key first, its copy stays. A damaged entry is replaced.

        Args:
            key: sha256 (hex) of what the volume was read from.
            volume: The volume; stored in the narrowest type that holds its values.
            notes: The repairs that its reader made.
            facts: Header metadata.

        Raises:
            XmedError: DISK_FULL, NOT_WRITABLE.
        """
        volume = volume.with_array(narrowest_type(volume.array))
        final = self.folder(key)
        part = self.volumes / f".part-{secrets.token_hex(8)}"
        with naming_disk_errors(self.home):
            make_private_home(self.home)
            part.mkdir(parents=True)
            final.parent.mkdir(exist_ok=True)
            try:
                write_entry(part, key, volume, notes, facts or {})
                if final.exists() and not self.intact(key):
                    final.rename(self.volumes / f".part-{secrets.token_hex(8)}")
                part.rename(final)
                self.index.keep(self._states(key, True))
            except OSError as problem:
                if problem.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def flush(self, keys: Iterable[str]) -> None:
        """Write the names of these entries to the disk, so that a power cut does not lose them.

        Args:
            keys: Keys of entries that were written.

        Raises:
            XmedError: DISK_FULL, NOT_WRITABLE.
        """
        folders = {self.folder(key).parent for key in keys}
        with naming_disk_errors(self.home):
            for folder in [*sorted(folders), *([self.volumes] if folders else [])]:
                flush_folder(folder)

    def _states(self, key: str, with_seal: bool) -> dict[FileState, str]:
        """What the index keeps for a complete entry: the state of each of its files, and their number."""
        with os.scandir(self.folder(key)) as scan:
            states = [FileState.of(entry.stat()) for entry in scan]
        return dict.fromkeys(states, f"{key} {'sealed' if with_seal else 'old'} of {len(states)}")

    def sweep(self) -> None:
        """Remove the half-written entries of processes that were killed."""
        for part in [*self.volumes.glob(".part-*"), *Home(self.home).datasets.glob(".*")]:
            try:
                age = abs(time.time() - part.stat().st_mtime)  # a clock may have been set back
            except FileNotFoundError:  # another ingest swept it
                continue
            if age > STALE_SECONDS and part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            elif age > STALE_SECONDS:
                part.unlink(missing_ok=True)


def _gone(key: str) -> XmedError:
    return XmedError("PATH_NOT_FOUND", f"store entry {key[:12]}… is gone or damaged", "a whole entry", "ingest again")
