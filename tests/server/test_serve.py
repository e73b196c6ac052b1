"""A study that is scheduled runs by itself; what is killed on the way is gone on with; nothing is left at work."""

import json
import signal
import time
from pathlib import Path

import pytest

from support.command_processes import SCHEDULE, balls, until, xmed
from support.ready_databases import give_prefect_database
from xmed.console.run_lock import run_lock
from xmed.files.locks import lock_owner
from xmed.run import Run


@pytest.fixture
def study(tmp_path):
    """Longer than anybody waits for in a test."""
    return balls(tmp_path, steps=300)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are looked up as on Linux")
def test_a_killed_run_is_finished_by_the_schedule_and_registered(study, home, prefect_database):
    give_prefect_database(home, prefect_database)
    with xmed(home, "run", str(study)) as run:
        until(run, "train ", " seed 0 ", "/300")
        began = time.monotonic()
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
        assert time.monotonic() - began < 30
    (folder,) = (home / "runs").iterdir()
    assert list(folder.glob("arms/*/seed0/checkpoint-*.pt"))
    assert lock_owner(run_lock(home)) == (None, False)

    with xmed(home, "serve", "--port", "0") as serve:
        until(serve, "scheduled runs start here")
        with xmed(home, "-c", SCHEDULE, str(study)) as schedule:
            until(schedule, "balls")
            assert schedule.wait(60) == 0
        until(serve, "run 1/1", f"{folder.name}, which was interrupted")
        with xmed(home, "schedule", "balls", "--remove", "--json") as removed:
            assert removed.wait(120) == 0
        until(serve, "trivial baselines")
        ended = time.monotonic() + 120
        while not (folder / "ended.json").is_file():
            assert time.monotonic() < ended
            time.sleep(0.2)
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(60) == 0
    registered = Run(folder).read("ended")["registered"]
    assert (registered["name"], registered["version"], registered["xmed.run"]) == ("balls", 1, folder.name)
    report = json.loads((folder / "report" / "report.json").read_text())
    assert report["verdict"] == registered["verdict"]
    for lock in (home / "locks").iterdir():
        assert lock_owner(lock) == (None, False)
    assert (home / "prefect" / "password").stat().st_mode & 0o077 == 0
