"""Sample cache: prepared volumes of a home on the disk, shared by arms, seeds and methods, within a limit of size.

<home>/cache/samples/<first two>/<key>/    see `xmed.prepare.stored_sample`

The key is the sha256 of all that a prepared volume depends on: the store's keys of image and label map, grid, window,
values of the structures, and the source of the modules that prepare it. Deleting the folder loses nothing: what is
missing is prepared again.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import scipy

from xmed.cohort.store import naming_disk_errors
from xmed.errors import XmedError
from xmed.files.digest import digest, file_digest
from xmed.files.permissions import make_private_home
from xmed.home import Home
from xmed.prepare import geometry, intensity, sample
from xmed.prepare.sample import Sample
from xmed.prepare.stored_sample import StoredSample, is_complete, write_sample

IN_MEMORY = 512 << 20
"""Bytes of a list of samples that stay in memory; a longer list lies on the disk. A patch of 120³ took 3 ms from memory
and 7 to 11 ms from the disk."""
VARIABLE = "XMED_CACHE_GB"
"""The environment variable with the largest size of the cache in GB."""
DEFAULT_GB = 200.0
"""Largest size where the variable is not set: 5,000 volumes of 256×256×200 at 40 MB."""
SPARED_SECONDS = 24 * 3600.0
"""An entry that was used since is not removed to make room: a training may be reading it."""
LEAST_FREE = 1 << 30
"""Bytes of the disk that the cache leaves free for everything else that a run writes."""


class SampleCache:
    """The prepared volumes below one home.

    Args:
        home: The home.
        limit_gb: Largest size in GB; by default `XMED_CACHE_GB`, or `DEFAULT_GB`.

    Raises:
        XmedError: USAGE where the environment variable is no positive number.
    """

    def __init__(self, home: Path, limit_gb: float | None = None) -> None:
        self.folder = Home(home).cache / "samples"
        self.limit = int((limit_from_environment() if limit_gb is None else limit_gb) * 1e9)

    def path(self, inputs: Any) -> Path:
        """Return the folder of an entry, whether it exists or not.

        Args:
            inputs: A JSON document of all that the prepared volume depends on, besides the code that prepares it.

        Returns:
            The folder.
        """
        key = digest([inputs, code_digest()])
        return self.folder / key[:2] / key

    def find(self, inputs: Any, case: str, fluid: Mapping[int, bool] | None = None) -> StoredSample | None:
        """Open an entry that exists and is as it was written. Its time of use is noted.

        Args:
            inputs: See `path`.
            case: Case id of the sample.
            fluid: See `Sample`.

        Returns:
            The sample on the disk; None where there is no such entry.
        """
        folder = self.path(inputs)
        if not is_complete(folder):
            return None
        os.utime(folder)
        return StoredSample(folder, case, fluid)

    def keep(self, prepared: Sample, inputs: Any) -> StoredSample:
        """Write a sample, and return it as it lies on the disk. An entry that is there already stays, unless damaged.

        Args:
            prepared: The sample.
            inputs: See `path`.

        Returns:
            The sample on the disk.

        Raises:
            XmedError: DISK_FULL where neither the limit nor the disk leaves room, NOT_WRITABLE.
        """
        final = self.path(inputs)
        with naming_disk_errors(self.folder):
            make_private_home(self.folder.parent.parent)
            part = self.folder / f".part-{secrets.token_hex(8)}"
            try:
                write_sample(prepared, part)
                self._make_room(sum(path.stat().st_size for path in part.iterdir()))
                final.parent.mkdir(parents=True, exist_ok=True)
                if final.exists() and not is_complete(final):
                    shutil.rmtree(final)
                part.rename(final)
            except OSError as problem:
                if problem.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another process wrote the same
                    raise
            finally:
                shutil.rmtree(part, ignore_errors=True)
        return StoredSample(final, prepared.case, prepared.fluid)

    def size(self) -> int:
        """Measure the cache.

        Returns:
            The bytes of all entries.
        """
        return sum(size for _, size, _ in self._entries())

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Yield when each entry was last used, its size in bytes, and its folder."""
        for folder in self.folder.glob("??/*"):
            try:
                yield folder.stat().st_mtime, sum(path.stat().st_size for path in folder.iterdir()), folder
            except FileNotFoundError:  # another process removed it
                continue

    def _make_room(self, size: int) -> None:
        """Remove the entries that were not used for longest, until `size` more bytes fit.

        Raises:
            XmedError: DISK_FULL.
        """
        entries = sorted(self._entries())
        used, free = sum(entry_size for _, entry_size, _ in entries), shutil.disk_usage(self.folder).free
        excess = max(used + size - self.limit, LEAST_FREE - free)  # what is written lies on the disk already
        for touched, entry_size, folder in entries:
            if excess <= 0:
                return
            if time.time() - touched > SPARED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
                excess -= entry_size
        if excess > 0:
            what = f"{used / 1e9:.1f} GB of prepared volumes in {self.folder}, and {free / 1e9:.1f} GB free on its disk"
            expected = f"at most {self.limit / 1e9:.0f} GB ({VARIABLE}), and {LEAST_FREE / 1e9:.0f} GB free"
            raise XmedError("DISK_FULL", what, expected, f"free some, or set {VARIABLE} or XMED_HOME")


def limit_from_environment() -> float:
    """Return the largest size of a cache in GB, from XMED_CACHE_GB or the default.

    Raises:
        XmedError: USAGE.
    """
    stated = os.environ.get(VARIABLE, "")
    try:
        limit = float(stated or DEFAULT_GB)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise XmedError("USAGE", f"{VARIABLE}={stated}", "a number of GB above 0", f"set or unset {VARIABLE}")
    return limit


@cache
def code_digest() -> str:
    """Return the sha256 of the source of the modules that prepare a volume, and of SciPy's version."""
    return digest(
        [*(file_digest(Path(str(module.__file__))) for module in (geometry, intensity, sample)), scipy.__version__]
    )


def bytes_in_memory(prepared: Sample) -> int:
    """Return the bytes that a sample takes in memory, with the indices of its labelled voxels."""
    arrays = [array for array in (prepared.image, prepared.fov, prepared.label) if array is not None]
    labelled = 0 if prepared.label is None else int((prepared.label > 0).sum())
    return sum(array.nbytes for array in arrays) + 4 * labelled


def held_within(
    samples: Iterable[Sample], store: Callable[[int, Sample], Sample], limit: int = IN_MEMORY
) -> list[Sample]:
    """Collect samples: in memory as long as they fit, else all of them on the disk.

    Args:
        samples: The samples, made one after the other.
        store: Called with (number, sample); writes a sample and returns it as it lies on the disk.
        limit: Bytes that may stay in memory.

    Returns:
        The same samples, in the same order.
    """
    collected: list[Sample] = []
    total = 0
    for prepared in samples:
        collected.append(prepared)
        total += 0 if isinstance(prepared, StoredSample) else bytes_in_memory(prepared)
        if total > limit:
            collected = [each if isinstance(each, StoredSample) else store(n, each) for n, each in enumerate(collected)]
            total = 0
    return collected
