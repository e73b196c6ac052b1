"""B10: children end with their parent, whoever waits keeps the time, and a clock that is set back stops nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support import sandbox_faults, tiny_study
from support.checkout import ROOT
from support.process_tree import alive, descendants
from support.ready_databases import give_prefect_database
from xmed.app.arrival_watch import Watch
from xmed.errors import XmedError
from xmed.io.sandbox.limits import ReaderBudget
from xmed.io.sandbox.worker import run_in_sandbox, run_in_sandbox_within

READERS = """
import os, signal, sys, threading, time
sys.path[:0] = [{here!r}]
from support import sandbox_faults
from xmed.io.sandbox.worker import run_in_sandbox
def ask():
    try:
        {ask}
    except BaseException:
        pass
threads = [threading.Thread(target=ask, daemon=True) for _ in range({count})]
for thread in threads: thread.start()
{then}
print("ready", flush=True)
time.sleep(600)
"""
SERVER = """
import subprocess, sys, time
from xmed.server.process_environment import open_home, prepare_environment
prepare_environment(); open_home()
child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(1)
print("ready", flush=True)
time.sleep(600)
"""
RUNNING = """
import os, sys, time
from pathlib import Path
from xmed.server.prefect_server import managed_process
with managed_process([sys.executable, "-c", {child!r}], dict(os.environ), Path(os.environ["XMED_HOME"]) / "log"):
    time.sleep(1)
    print("ready", flush=True)
    time.sleep(600)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
POOL = """
import multiprocessing, os, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
from xmed.train import arm_processes as workers
def note(run, arms):
    pass
if __name__ == "__main__":
    import types
    from pathlib import Path
    run = types.SimpleNamespace(study=types.SimpleNamespace(budget=types.SimpleNamespace(devices=1)))
    workers.jobs = lambda *a: {("a", 0): [], ("b", 0): []}
    def follow(pool, *rest):
        futures = [pool.submit(time.sleep, 600), pool.submit(time.sleep, 600)]
        time.sleep(1)
        while not all(f.running() for f in futures):
            time.sleep(0.1)
        [pool.submit(os.getpid)]
        time.sleep(8)
        print("ready", flush=True)
        time.sleep(600)
    workers._run_pool = follow
    workers.fit_all(run, Path("."), workers=2)
"""


def left_after_kill(script, tmp_path, halt=False, least=1):
    """Run a script until it says that it is ready, kill it, and say who of its descendants is there ten seconds on."""
    path = tmp_path / "script.py"
    path.write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(path)], env=tiny_study.surroundings(tmp_path / "home"), stdout=subprocess.PIPE, text=True
    )
    try:
        (tmp_path / "home").mkdir(exist_ok=True)
        assert "ready" in process.stdout.readline()
        children = descendants(process.pid)
        assert len(children) >= least
        for child in children if halt else ():
            if b"watcher" not in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGSTOP)
    finally:
        process.kill()
        process.wait()
    until = time.monotonic() + 10
    while (left := alive(children)) and time.monotonic() < until:
        time.sleep(0.2)
    for pid, _ in left:
        os.kill(pid, signal.SIGKILL)
    return left


@pytest.mark.parametrize(
    ("script", "halt", "least"),
    [
        pytest.param(READERS.format(here=str(ROOT / "tests"), ask="run_in_sandbox(sandbox_faults.sleep)", count=3, then="time.sleep(9)"), False, 3, id="readers-at-work"),
        pytest.param(READERS.format(here=str(ROOT / "tests"), ask="run_in_sandbox(sandbox_faults.twice, 1)", count=2, then="[t.join() for t in threads]"), True, 1, id="idle-readers-that-are-stopped"),
        pytest.param(READERS.format(here=str(ROOT / "tests"), ask="run_in_sandbox(sandbox_faults.spin)", count=1, then="time.sleep(6)"), False, 1, id="reader-that-spins"),
        pytest.param(SERVER, False, 2, id="server-of-a-library-and-its-own-child"),
        pytest.param(SERVER, True, 2, id="server-that-is-stopped"),
        pytest.param(RUNNING.format(child=DEAF), False, 1, id="server-that-does-not-heed-sigterm"),
        pytest.param(POOL, False, 3, id="training-pool-and-its-manager", marks=pytest.mark.slow),
        pytest.param(POOL, True, 3, id="training-pool-that-is-stopped", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_nobody_is_left_when_the_parent_was_killed(script, halt, least, tmp_path, prefect_database):
    if script == SERVER:
        give_prefect_database(tmp_path / "home", prefect_database)
    assert left_after_kill(script, tmp_path, halt, least) == []


def in_time(function, seconds=45):
    """What a call raised, and None in place of an answer that did not come in time."""
    found = []

    def ask():
        try:
            found.append(function())
        except BaseException as problem:
            found.append(problem)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


@pytest.mark.parametrize("fault", [sandbox_faults.stop_itself, sandbox_faults.stop_with_a_long_answer])
def test_a_reader_that_does_not_come_back_is_given_up_in_time(fault):
    budget = ReaderBudget(waiting=1)
    problem = in_time(lambda: run_in_sandbox_within(budget, fault))
    assert isinstance(problem, XmedError)
    assert problem.code == "READER_TIMEOUT"
    assert isinstance(run_in_sandbox(sandbox_faults.number), int)  # and the next case is read


def test_a_reader_that_was_stopped_before_it_was_asked_is_given_up():
    pid = run_in_sandbox(sandbox_faults.number)
    os.kill(pid, signal.SIGSTOP)
    try:
        problem = in_time(
            lambda: run_in_sandbox_within(ReaderBudget(waiting=1), sandbox_faults.take, b"x" * (8 << 20))
        )  # more than a socket holds
        assert isinstance(problem, XmedError)
        assert problem.code == "READER_TIMEOUT"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_reader_that_somebody_killed_while_it_rested_costs_no_case():
    os.kill(run_in_sandbox(sandbox_faults.number), signal.SIGKILL)
    time.sleep(0.3)
    assert isinstance(run_in_sandbox(sandbox_faults.number), int)


def test_a_reader_that_waits_a_little_is_waited_for():
    assert run_in_sandbox_within(ReaderBudget(waiting=30), sandbox_faults.take, b"x" * 100) == 100
    pid = run_in_sandbox(sandbox_faults.number)
    threading.Timer(2.0, os.kill, (pid, signal.SIGCONT)).start()
    os.kill(pid, signal.SIGSTOP)  # a batch system that moved it for two seconds
    assert run_in_sandbox(sandbox_faults.number) == pid


NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def looked(path, *moments, minutes=10.0):
    return [Watch(path).due("state", minutes, now=moment) for moment in moments]


@pytest.mark.parametrize("back", [timedelta(days=365), timedelta(hours=1), timedelta(seconds=90)])
def test_a_clock_that_is_set_back_begins_the_wait_anew(tmp_path, back):
    now = NOON - back
    said = looked(tmp_path / "w.json", NOON, now, now + timedelta(minutes=5), now + timedelta(minutes=11))
    assert "-" not in said[1].partition("quiet for")[2].split(" of ")[0]
    assert said[1]
    assert said[2]
    assert said[3] == ""


@pytest.mark.parametrize(
    "since", ["2099-01-01T00:00:00+00:00", "2026-11-30T11:00:00", "yesterday", "", None, 17]
)  # of the future, without a zone, damaged
def test_a_moment_that_no_clock_can_compare_costs_one_look(tmp_path, since):
    path = tmp_path / "w.json"
    path.write_text(json.dumps({"seen": "state", "since": since}))
    first, later = looked(path, NOON, NOON + timedelta(minutes=11))
    assert first
    assert later == ""


def test_what_is_quiet_for_long_enough_is_due(tmp_path):
    assert looked(tmp_path / "w.json", NOON, NOON + timedelta(minutes=4), NOON + timedelta(minutes=10))[1:] == [
        "quiet for 4 of 10 minutes",
        "",
    ]
