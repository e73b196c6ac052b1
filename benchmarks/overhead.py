"""Overhead: what Prefect and MLflow add to the demo's job, in wall seconds of each part of one and the same run.

    python benchmarks/overhead.py WORK [--steps 800] [--study phantom-mr-to-us] [--ways embedded,standing]

Three runs of the study, each in a home and a process of its own: the functions of the flow called as functions, with
neither engine nor tracking; `xmed run` with the server that Prefect starts within the process, on a new database; and
`xmed run` against a Prefect server and an MLflow server that stand already. In each every task's function is timed within
the task. What else passes between the start of the process and its end is overhead, and so are the two tasks that speak to
MLflow; the imports that the library needs by itself, timed in a process of their own, are not. So the share is one of a
single run, and two runs on a busy machine need not be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests
from ruamel.yaml import YAML

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
CHECKOUT = BENCHMARKS.parents[1]
LIMITS = {"embedded": 0.10, "standing": 0.03}
TRACKING = ("log_run", "register_model")
"""The tasks that are MLflow's part; all others are the library's."""
WAYS = {
    "library": "the same functions, called",
    "embedded": "`xmed run`, Prefect's server within it",
    "standing": "`xmed run`, standing servers",
}

BEGIN = """
import functools, json, os, sys, time
from xmed.server.process_environment import open_home, prepare_environment
prepare_environment()
open_home()
from prefect import Task
from xmed_pipelines import adapt_flow as flows
spent = {}

def clock(name, function):
    @functools.wraps(function)
    def timed(*given, **named):
        began = time.monotonic()
        try:
            return function(*given, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.monotonic() - began
    return timed

tasks = {name: one for name, one in vars(flows).items() if isinstance(one, Task)}
"""
LIBRARY = """
from xmed.spec import load_study
for name, one in tasks.items():
    setattr(flows, name, clock(name, one.fn))
flows.log_run = flows.register_model = flows.publish_result = lambda *_: {}
flows.adapt_flow.fn(load_study(sys.argv[1]))
"""
FLOW = """
from xmed.cli.main import main
for name, one in tasks.items():
    one.fn = clock(name, one.fn)
code = main(["run", sys.argv[1]])
if code not in (0, 1):
    sys.exit(code)
"""
SAY = """
with open(os.environ["BENCH_OUT"], "w") as out:
    json.dump(spent, out)
"""
IMPORTS = (
    "import xmed.app.environment, xmed.app.plan, xmed.cohort, xmed.evaluate, xmed.phantom, xmed.report, xmed.train"
)


def python(text: str, work: Path, *arguments: str, **variables: str) -> tuple[float, dict[str, float]]:
    """Wall seconds of a process that runs `text`, and what it timed."""
    out = work / "spent.json"
    out.write_text("{}")
    environment = {**os.environ, "BENCH_OUT": str(out), "PYTHONPATH": str(CHECKOUT), **variables}
    began = time.monotonic()
    with (work / "log.txt").open("ab") as log:
        done = subprocess.run(
            [sys.executable, "-c", text, *arguments], env=environment, cwd=work, stdout=log, stderr=log
        )
    seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(f"exit code {done.returncode}; see {work / 'log.txt'}")
    return seconds, json.loads(out.read_text())


def shortened(study: str, steps: int | None, work: Path) -> str:
    """The study, or a copy of it with fewer steps."""
    if steps is None:
        return study
    yaml, path = YAML(), work / f"{study}.yaml"
    document = yaml.load((CHECKOUT / "data_specs" / "studies" / f"{study}.yaml").read_text(encoding="utf-8"))
    document["budget"]["steps"] = steps
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)
    return str(path)


@contextmanager
def servers(work: Path) -> Iterator[dict[str, str]]:
    """A Prefect and an MLflow server on SQLite; yields the variables that name them."""
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    prefect, mlflow = (f"http://127.0.0.1:{port}" for port in ports)
    environment = {
        **os.environ, "PREFECT_HOME": str(work / "prefect"), "DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    asked = {
        f"{prefect}/api/health": ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(ports[0])],
        f"{mlflow}/health": [
            "mlflow", "server", "--host", "127.0.0.1", "--port", str(ports[1]), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{work}/mlflow.db", "--artifacts-destination", str(work / "artifacts"),
        ],
    }  # fmt: skip
    with ExitStack() as held:
        log = held.enter_context((work / "servers.txt").open("ab"))
        for command in asked.values():
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=environment,
                cwd=work,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            held.callback(process.wait)
            held.callback(os.killpg, process.pid, 15)
        for url in asked:
            while not server_answers(url):
                time.sleep(0.5)
        yield {"PREFECT_API_URL": f"{prefect}/api", "MLFLOW_TRACKING_URI": mlflow}


def server_answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def measured(way: str, study: str, work: Path) -> dict[str, Any]:
    """One run of the study: wall seconds, those of each part, and the rest."""
    folder = work / way
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home = {"XMED_HOME": str(folder / "home")}
    imports, _ = python(IMPORTS, folder)
    with ExitStack() as held:
        variables = held.enter_context(servers(folder)) if way == "standing" else {}
        text = BEGIN + (LIBRARY if way == "library" else FLOW) + SAY
        seconds, spent = python(text, folder, study, **home, **variables)
    tracking = sum(spent.get(name, 0.0) for name in TRACKING)
    own = sum(spent.values()) - tracking
    rest = seconds - imports - own - tracking
    return {
        "seconds": seconds,
        "imports": imports,
        "tasks": spent,
        "rest": rest,
        "overhead": (tracking + rest) / seconds,
    }


def table(found: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    ways = found["ways"]
    lines = [
        "# What Prefect and MLflow cost", "",
        f"`{found['study']}`, {found['steps'] or 'its own'} steps, {found['machine']}. Wall seconds of one run each; how, "
        "says `benchmarks/overhead.py`.", "",
        "| | " + " | ".join(WAYS[way] for way in ways) + " |", "|---" * (len(ways) + 1) + "|",
    ]  # fmt: skip

    def row(name: str, values: Iterable[str]) -> None:
        lines.append(f"| {name} | " + " | ".join(values) + " |")

    row("imports of the library", (f"{ways[way]['imports']:.1f}" for way in ways))
    for name in max((one["tasks"] for one in ways.values()), key=len):
        said = f"MLflow: `{name}`" if name in TRACKING else f"`{name}`"
        row(said, (f"{ways[way]['tasks'].get(name, 0.0):.1f}" for way in ways))
    row("Prefect: imports, server, engine", (f"{ways[way]['rest']:.1f}" for way in ways))
    row("whole", (f"{ways[way]['seconds']:.1f}" for way in ways))
    row("**overhead**", (f"{ways[way]['overhead']:.1%}" for way in ways))
    row("allowed", (f"{LIMITS[way]:.0%}" if way in LIMITS else "" for way in ways))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--study", default="phantom-mr-to-us")
    parser.add_argument("--steps", type=int, help="of training; the study's own without")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--out", type=Path, default=BENCHMARKS)
    asked = parser.parse_args()
    work = asked.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    study = shortened(asked.study, asked.steps, work)
    ways = {way: measured(way, study, work) for way in asked.ways.split(",")}
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[1]:.1f}"
    found = {"study": asked.study, "steps": asked.steps, "machine": machine, "limits": LIMITS, "ways": ways}
    (asked.out / "overhead.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (asked.out / "overhead.md").write_text(table(found), encoding="utf-8")
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
