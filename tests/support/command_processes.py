"""Commands as processes of their own, and a study of balls that they run."""

import itertools
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

from ruamel.yaml import YAML

from support.checkout import ROOT
from support.small_training import write_case

SCHEDULE = """
import sys
from datetime import timedelta
from pathlib import Path
from xmed.server.process_environment import prepare_environment
from xmed.server.prefect_server import use_server
home = prepare_environment()
assert use_server(home), "the server of `xmed serve` is found by the home alone"
from prefect.client.schemas.schedules import IntervalSchedule
from xmed_pipelines import schedules
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
