"""The run lock: one run at a time in a home and on a GPU; a second one waits, and shows whom it waits for."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from xmed.console.progress_display import report
from xmed.errors import XmedError
from xmed.files.locks import hold_lock
from xmed.home import Home


@contextmanager
def hold_run_lock(home: Path, what: str, devices: int = 1) -> Iterator[None]:
    """Hold the run lock of a home and the locks of GPUs, where there are any, for the time of the block.

    Waits until all of them are free.

    Args:
        home: The home that the run writes to.
        what: The work, as others who wait will see it.
        devices: How many GPUs the run uses.

    Yields:
        Once all locks are held.
    """
    with ExitStack() as stack:
        for path in (run_lock(home), *gpu_locks(devices)):
            stack.enter_context(hold_lock(path, on_wait=_show_waiting, what=what))
        yield


def run_lock(home: Path) -> Path:
    """Name the lock that a training in a home holds.

    Args:
        home: The home.

    Returns:
        Path of the lock file.
    """
    return Home(home).run_lock


def gpu_locks(devices: int = 1) -> list[Path]:
    """The lock files of the GPUs that this process would use, shared by all homes of this user; empty on a CPU.

    Raises:
        XmedError: PATH_UNSAFE, where the folder of these locks belongs to another user.
    """
    from xmed import networks  # loads torch, which whoever only asks who holds a lock does not need

    if networks.default_device().type != "cuda":
        return []
    folder = gpu_lock_folder()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise XmedError("PATH_UNSAFE", f"{folder} belongs to somebody else", "a folder of this user", "remove it")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(devices)))).split(",")[:devices]
    # Sorted: of two runs that want the same GPUs, neither holds what the other waits for.
    return sorted({folder / f"gpu-{re.sub('[^A-Za-z0-9-]', '', gpu) or '0'}.json" for gpu in visible})


def gpu_lock_folder() -> Path:
    """Name the folder of the GPU locks of this user.

    Returns:
        The folder, which all homes of this user share.
    """
    return Path(tempfile.gettempdir()) / f"xmed-{os.getuid()}"


def _show_waiting(holder: str) -> None:
    report("waiting for a turn", 0, 1, holder)
