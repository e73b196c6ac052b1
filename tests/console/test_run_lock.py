"""One run at a time: whoever comes second waits, and a killed holder holds nobody up."""

import json
import os
import signal
import time

import pytest

from support.forked_process import FORK
from xmed.console import run_lock as module
from xmed.console.progress_display import shown_by
from xmed.console.run_lock import gpu_locks, hold_run_lock, run_lock
from xmed.errors import XmedError
from xmed.files import locks
from xmed.files.locks import clear_lock, hold_lock, lock_owner


def hold(home, ready, release):
    with hold_run_lock(home, "study other"):
        ready.set()
        release.wait(60)


@pytest.fixture
def other(home):
    """Another process that holds the turn of this home, until `release` is set."""
    ready, release = FORK.Event(), FORK.Event()
    process = FORK.Process(target=hold, args=(home, ready, release))
    process.start()
    assert ready.wait(60)
    process.release = release
    yield process
    process.kill()
    process.join()


def test_the_second_waits_is_told_for_whom_and_then_goes_on(home, other, monkeypatch):
    monkeypatch.setattr(locks, "POLL_SECONDS", 0.01)
    told = []

    def show(what, done, total, note):
        told.append((what, note))
        other.release.set()

    with shown_by(show), hold_run_lock(home, "study mine"):
        who, alive = lock_owner(run_lock(home))
        assert alive
        assert (who.pid, who.what) == (os.getpid(), "study mine")
    assert told[0][0] == "waiting for a turn"
    assert f"process {other.pid} on " in told[0][1]
    assert told[0][1].endswith("study other")
    assert lock_owner(run_lock(home)) == (None, False)


def test_a_holder_that_was_killed_stands_in_the_lock_and_holds_nobody_up(home, other):
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    who, alive = lock_owner(run_lock(home))
    assert (who.pid, alive) == (other.pid, False)
    with hold_run_lock(home, "study mine"):
        pass
    assert lock_owner(run_lock(home)) == (None, False)


def test_only_a_lock_that_nobody_holds_is_cleared(home, other):
    assert not clear_lock(run_lock(home))
    assert lock_owner(run_lock(home))[0].pid == other.pid
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert clear_lock(run_lock(home))
    assert lock_owner(run_lock(home)) == (None, False)


def test_who_will_not_wait_is_told_at_once(home, other):
    with pytest.raises(
        XmedError, match=rf"error\[BUSY\]: found run.json is held by process {other.pid} on .* study other"
    ):
        hold_lock(run_lock(home), wait=False).__enter__()


def test_a_fault_within_a_turn_gives_it_back(home):
    with pytest.raises(ZeroDivisionError), hold_run_lock(home, "study mine"):
        raise ZeroDivisionError
    assert lock_owner(run_lock(home)) == (None, False)


def test_a_lock_caught_half_written_is_still_a_lock(home):
    run_lock(home).parent.mkdir(parents=True)
    run_lock(home).write_text('{"pid": 1')
    who, alive = lock_owner(run_lock(home))
    assert who.what == "somebody who had not said who"
    assert not alive


def test_homes_on_one_gpu_share_its_lock_and_others_do_not(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from xmed import networks

    assert gpu_locks() == [] or networks.default_device().type == "cuda"
    monkeypatch.setattr(networks, "default_device", lambda: SimpleNamespace(type="cuda"))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    (path,) = gpu_locks()
    assert path.name == "gpu-3.json"
    assert [path.name for path in gpu_locks(2)] == ["gpu-3.json", "gpu-4.json"]
    with hold_run_lock(tmp_path / "one", "study one"), pytest.raises(XmedError, match="BUSY"):
        hold_lock(path, wait=False).__enter__()
    assert json.loads((tmp_path / "one" / "locks" / "run.json").read_text() or "{}") == {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [path.name for path in gpu_locks(2)] == ["gpu-0.json", "gpu-1.json"]


def test_a_folder_of_locks_that_is_somebody_elses_is_refused(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from xmed import networks

    monkeypatch.setattr(networks, "default_device", lambda: SimpleNamespace(type="cuda"))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / f"xmed-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(XmedError, match=r"error\[PATH_UNSAFE\]: found .*belongs to somebody else"):
        gpu_locks()


def test_eight_at_once_take_turns(home):
    """Each reads, waits and writes: two at once would lose a count."""
    count = home / "count"
    home.mkdir()
    count.write_text("0")

    def add():
        for _ in range(5):
            with hold_run_lock(home, "adding"):
                seen = int(count.read_text())
                time.sleep(0.001)
                count.write_text(str(seen + 1))

    poll_seconds, locks.POLL_SECONDS = locks.POLL_SECONDS, 0.002
    try:
        processes = [FORK.Process(target=add) for _ in range(8)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
    finally:
        locks.POLL_SECONDS = poll_seconds
    assert count.read_text() == "40"
