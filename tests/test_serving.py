"""A study that is scheduled runs by itself; what is killed on the way is gone on with; nothing is left at work."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from test_train import write_case

from xmed.console.run_lock import run_lock
from xmed.files.locks import lock_owner
from xmed.run import Run

ROOT = Path(__file__).resolve().parent.parent
SCHEDULE = """
import sys
from datetime import timedelta
from pathlib import Path
from xmed.server.process_environment import prepare_environment
from xmed.server.prefect_server import use_server
home = prepare_environment()
assert use_server(home), "the server of `xmed serve` is found by the home alone"
from prefect.client.schemas.schedules import IntervalSchedule
from xmed_pipelines import deployments as schedules
from xmed.app.plan import plan_study
print(schedules.schedule_study(plan_study(sys.argv[1]), IntervalSchedule(interval=timedelta(seconds=5)), home)["study"])
"""
"""As `xmed schedule` does, but not with cron, whose first start may be a minute away."""


def balls(folder, steps):
    """Bright balls to learn from and dark ones to adapt to, as a study below `folder`; returns its file."""
    for name, inverted, modality, first in (("bright", False, "MR", 0), ("dark", True, "PT", 50)):
        cases = {split: [f"{name}-{case}" for case in found] for split, found in (("train", "ab"), ("test", "e"))}
        for n, case in enumerate(itertools.chain(*cases.values())):
            write_case(folder / name, case, first + n, inverted)
        layout = {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"}
        document = {"name": name, "modality": modality, "root": str(folder / name), "layout": layout}
        write(folder / f"{name}.yaml", {**document, "labels": {1: {"name": "ball"}}, "splits": cases})
    document = {
        "name": "balls",
        "source": str(folder / "bright.yaml"),
        "target": str(folder / "dark.yaml"),
        "structures": ["ball"],
        "grid": {"spacing_mm": [1, 1, 2], "patch": [24, 24, 1]},
        "network": {"channels": [4, 8, 8]},
        "method": {"name": "gin"},
        "budget": {"steps": steps, "batch": 2},
        "robustness": False,
        "protocol": {"primary": {"structure": "ball"}},
        "register_as": "balls",
    }
    return write(folder / "balls.yaml", document)


@pytest.fixture
def study(tmp_path):
    """Longer than anybody waits for in a test."""
    return balls(tmp_path, steps=300)


def write(path, document):
    YAML().dump(document, path)
    return path


def environment(home):
    """As a shell that knows of a home and of no servers."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return found | {"XMED_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


@contextmanager
def xmed(home, *words):
    """A command in a process of its own, what it says line by line; killed with all it started when it does not end."""
    command = [sys.executable, *words] if words[0] == "-c" else [sys.executable, "-m", "xmed.cli.main", *words]
    process = subprocess.Popen(
        command, env=environment(home), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def until(process, *pieces):
    """Read what a process says until a line has all of these in it; returns everything it said."""
    said = []
    for line in process.stdout:
        said.append(line)
        if all(piece in line for piece in pieces):
            return said
    raise AssertionError("".join(said))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are looked up as on Linux")
def test_a_killed_run_is_finished_by_the_schedule_and_registered(study, home):
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
