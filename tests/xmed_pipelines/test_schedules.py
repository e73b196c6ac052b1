"""Scheduling: what is asked is checked before anything starts, and what runs unattended leaves word."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from ruamel.yaml import YAML

from support.checkout import ROOT
from support.small_reports import small_document
from xmed.cli.main import main
from xmed.errors import XmedError
from xmed.files.locks import hold_lock
from xmed.server.prefect_server import (
    UNLESS_ORPHANED,
    free_port,
    managed_process,
    run_prefect_server,
    server_lock,
    server_password,
    use_server,
)
from xmed.spec import Study, load_study


@pytest.fixture(autouse=True)
def place(tmp_path):
    """An empty home; the environment, which a command prepares for its process, is put back."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path / "home")
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    yield tmp_path / "home"
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["phantom-mr-to-us"],
            "error[USAGE]: found phantom-mr-to-us with no option · expected STUDY with one of --cron, --when-new, ",
        ),
        (["--remove"], "error[USAGE]: found no study with --remove"),
        (
            ["phantom-mr-to-us", "--remove", "--cron", "0 2 * * *"],
            "error[USAGE]: found phantom-mr-to-us with --cron and --remove",
        ),
        (["phantom-mr-to-us", "--when-new"], "error[USAGE]: found phantom-us is written or fetched by xmed itself"),
        (
            ["phantom-mr-to-us", "--when-drift", "no-such-data"],
            "error[SPEC_NOT_FOUND]: found no dataset 'no-such-data'",
        ),
        (["no-such-study", "--cron", "0 2 * * *"], "error[SPEC_NOT_FOUND]: found no study 'no-such-study'"),
        (["phantom-mr-to-us", "--cron", "0 2 * * *", "--seeds", "a"], "error[USAGE]: found --seeds a"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_before_prefect_starts(words, line, capsys, place):
    assert main(["schedule", *words]) == 2
    assert capsys.readouterr().err.startswith(line)
    assert not place.exists()


@pytest.mark.parametrize(("expression", "zone"), [("every night", "UTC"), ("0 2 * * *", "Middle-Earth/Shire")])
def test_what_is_no_cron_expression_or_no_place_is_refused(expression, zone):
    from xmed_pipelines.schedules import cron_schedule

    with pytest.raises(XmedError, match=r"error\[USAGE\]: found --cron .* · expected minute hour day month weekday"):
        cron_schedule(expression, zone)
    assert cron_schedule("0 2 * * *", "Europe/Vienna").timezone == "Europe/Vienna"


def test_the_deployments_in_prefect_yaml_are_flows_and_their_study_is_the_one_that_it_names():
    document = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text())
    found = {one["name"]: one for one in document["deployments"]}
    assert {*found} == {"phantom-mr-to-us", "approve", "drift"}
    for one in found.values():
        path, _, name = one["entrypoint"].partition(":")
        flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
        assert {*one.get("parameters", {})} <= {*flow.parameters.properties}
        assert one["work_pool"]["name"] == "xmed"
    study = found["phantom-mr-to-us"]["parameters"]["study"]
    assert Study.model_validate(study) == load_study("phantom-mr-to-us")


def test_what_a_datasets_root_names_is_remembered_for_a_service_that_does_not_know_it(monkeypatch):
    from xmed_pipelines.schedules import _variables_in_roots

    monkeypatch.setenv("XMED_SOME", "/here")
    monkeypatch.delenv("XMED_OTHER", raising=False)
    plan = SimpleNamespace(
        source=SimpleNamespace(root="${XMED_SOME}/a"), target=SimpleNamespace(root="${XMED_OTHER}/$XMED_HOME/b")
    )
    assert _variables_in_roots(plan) == {"XMED_SOME": "/here"}


def test_the_password_of_a_server_is_for_its_owner_and_stays(place):
    found = server_password(place)
    assert found.startswith("xmed:")
    assert len(found) > 30
    assert server_password(place) == found
    assert stat.S_IMODE((place / "prefect" / "password").stat().st_mode) == 0o600


def test_a_home_is_served_once(place):
    with hold_lock(server_lock(place), what="xmed serve", url="http://127.0.0.1:9/api"):
        assert use_server(place) is None, "it does not answer"
        with pytest.raises(XmedError, match=r"error\[BUSY\]: found serve.json is held by process"):
            run_prefect_server(place, 0).__enter__()


def test_a_port_that_is_taken_is_refused_in_one_sentence():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            XmedError, match=rf"error\[USAGE\]: found port {port} of 127.0.0.1 is taken · expected .*--port 0"
        ):
            free_port(port)
    assert free_port(0) > 0


def test_whoever_will_not_end_is_made_to_with_all_that_he_started(tmp_path, monkeypatch):
    from xmed.server import prefect_server

    monkeypatch.setattr(prefect_server, "STOP_SECONDS", 0.5)
    script = "trap '' TERM; sleep 600 & echo $! > child; echo ready; wait; wait"
    command = ["sh", "-c", f"cd {tmp_path}; {script}"]
    with managed_process(command, dict(os.environ), tmp_path / "log") as process:
        until = time.monotonic() + 30
        while "ready" not in (tmp_path / "log").read_text():
            assert time.monotonic() < until
            time.sleep(0.02)
        child = int((tmp_path / "child").read_text())
    assert process.poll() == -signal.SIGKILL
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv, of Debian's util-linux, is not installed")
def test_what_a_killed_xmed_has_started_ends_too(tmp_path):
    script = """
import os, sys, time
from xmed.server.prefect_server import managed_process
with managed_process(["sleep", "600"], dict(os.environ), None) as process:
    print(process.pid, flush=True)
    time.sleep(600)
"""
    killed = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    child = int(killed.stdout.readline())
    killed.kill()
    killed.communicate()
    until = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < until, "it would hold its port against the next"
        time.sleep(0.05)


def test_who_was_orphaned_before_the_kernel_knew_does_not_begin(tmp_path):
    for parent, begins in ((os.getpid(), True), (os.getppid(), False)):
        made = tmp_path / str(parent)
        subprocess.run(["sh", "-c", UNLESS_ORPHANED, "sh", str(parent), "touch", made])
        assert made.exists() is begins


@pytest.mark.parametrize(
    ("problem", "again"),
    [
        (XmedError("PACS_UNREACHABLE", "it sleeps"), True),
        (XmedError("SPEC_INVALID", "a typing error"), False),
        (ConnectionError("refused"), True),
        (ValueError("wrong"), False),
    ],
)
def test_only_what_lies_outside_is_tried_again_and_only_where_nobody_waits(problem, again, monkeypatch):
    from xmed_pipelines.prefect_tasks import should_retry

    state = SimpleNamespace(result=lambda raise_on_failure: problem)
    assert should_retry(None, None, state) is False
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "1")
    assert should_retry(None, None, state) is again


UNATTENDED = """
from xmed_pipelines import prefect_tasks as unattended
from xmed.console.progress_display import report
from xmed.errors import XmedError
unattended.create_progress_artifact = unattended.update_progress_artifact = None  # a server that is not there
with unattended.watched_by_prefect():
    report("train adapted seed 0", 1, 2, "loss 0.3")
    raise {problem}
"""


@pytest.mark.parametrize(
    ("problem", "logs"), [("ZeroDivisionError('of all things')", 1), ("XmedError('NO_CASES', 'nothing left')", 0)]
)
def test_a_fault_that_nobody_sees_leaves_a_log_and_a_known_error_its_sentence(problem, logs, place):
    environment = os.environ | {"PREFECT__FLOW_RUN_ID": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    script = UNATTENDED.format(problem=problem)
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 1
    assert "train adapted seed 0 1/2 · loss 0.3" in found.stderr
    written = list((place / "logs").glob("*.log")) if (place / "logs").is_dir() else []
    assert len(written) == logs
    if logs:
        assert "ZeroDivisionError: of all things" in written[0].read_text()
        assert str(written[0]) in found.stderr


def test_the_result_is_left_as_a_page_of_the_flow_run(place, monkeypatch):
    from xmed_pipelines import prefect_tasks

    from xmed.records.answers import AdaptedRun

    (place / "runs" / "r" / "report").mkdir(parents=True)
    dice = {"prostate": {"dice": {"mean": 0.8, "ci": [0.7, 0.9], "n": 3}}}
    document = small_document(summary={"adapted": dice, "gap_closed": {}, "gain_over_trivial": {}})
    (place / "runs" / "r" / "report" / "report.json").write_text(json.dumps(document))
    kept = []
    monkeypatch.setattr(prefect_tasks, "create_markdown_artifact", lambda text, **named: kept.append((text, named)))
    registered = {"name": "m", "version": 2, "alias": "candidate"}
    page = place / "runs" / "r" / "report" / "report.html"
    result = {"run": "r", "folder": str(place / "runs" / "r"), "report": str(page), "registered": registered}
    prefect_tasks.publish_result(AdaptedRun.model_validate(result))
    ((text, named),) = kept
    assert text.startswith(f"[{page}]({page.as_uri()})")
    assert "0.800 (0.70–0.90)" in text
    assert "m version 2, alias candidate" in text
    assert named == {"key": "result", "description": "r: pass"}


RENEW = """
import sys
from pathlib import Path
from support.ready_databases import prefect_harness
with prefect_harness(Path(sys.argv[1])):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentUpdate
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType
    from xmed.server.work_pool import POOL, TAG, make_pool, renew_entrypoints
    from xmed_pipelines.adapt_flow import adapt_flow
    from xmed_pipelines.watch_flow import watch_flow

    found = {}
    with get_client(sync_client=True) as client:
        make_pool(client)
        for flow, old in ((adapt_flow, "pipelines.flows.adapt"), (watch_flow, "pipelines.watching.watch")):
            deployment = RunnerDeployment.from_flow(flow, "old", tags=[TAG], work_pool_name=POOL, entrypoint_type=EntrypointType.MODULE_PATH)
            key = deployment.apply(work_pool_name=POOL)
            now = client.read_deployment(key).entrypoint
            client.update_deployment(key, DeploymentUpdate(entrypoint=old))
            assert client.read_deployment(key).entrypoint == old
            found[key] = now
        renew_entrypoints(client)
        for key, now in found.items():
            assert client.read_deployment(key).entrypoint == now, client.read_deployment(key).entrypoint
print("renewed", len(found))
"""


@pytest.mark.slow
def test_schedules_of_an_older_version_start_todays_flows(tmp_path, prefect_database):
    environment = {**os.environ, "XMED_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        [sys.executable, "-c", RENEW, str(prefect_database)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip().endswith("renewed 2"), done.stderr[-2000:]


WATCH = """
import os, subprocess, sys
from pathlib import Path
from support.ready_databases import prefect_harness
with prefect_harness(Path(sys.argv[1])):
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL
    from xmed.app.plan import plan_study
    from xmed.app.arrival_watch import WatchParameters
    from xmed_pipelines import schedules

    plan, home = plan_study("toy.yaml"), Path(os.environ["XMED_HOME"])
    parameters = WatchParameters(when="new", data=None, minutes=10.0)
    schedules.schedule_study(plan, schedules.interval_schedule(10), home, file="toy.yaml", watch=parameters)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("watch/toy")
        flow_run = client.create_flow_run_from_deployment(deployment.id)
        job = deployment.job_variables
        environment = os.environ | job["env"] | {
            "PREFECT__FLOW_RUN_ID": str(flow_run.id), "PREFECT_API_URL": PREFECT_API_URL.value()
        }
        subprocess.run(job["command"], shell=True, check=True, cwd=job["working_dir"], env=environment, timeout=300)
        print(job["working_dir"], client.read_flow_run(flow_run.id).state_name)
"""
"""Schedules a study, then starts its flow as Prefect's process worker does: the same command, folder and environment."""
TOY_DATASET = """
name: {name}
modality: {modality}
root: {root}
layout: {{image: "{{case}}.nii.gz", label: "{{case}}-label.nii.gz"}}
labels: {{1: {{name: ball}}}}
splits: {{train: [a, b], test: [c]}}
"""
TOY_STUDY = """
name: toy
source: {folder}/bright.yaml
target: {folder}/dark.yaml
structures: [ball]
grid: {{spacing_mm: [1, 1, 2], patch: [24, 24, 1]}}
method: {{name: gin}}
budget: {{steps: 2, batch: 2}}
protocol: {{primary: {{metric: dice, structure: ball}}}}
register_as: toy
"""


@pytest.mark.slow
def test_a_scheduled_flow_starts_in_a_folder_with_a_pipelines_package_of_somebody_else(tmp_path, prefect_database):
    folder = tmp_path / "work"
    for package in ("pipelines", "pipelines/xmed_pipelines"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text("raise RuntimeError('this package belongs to somebody else')\n")
    (folder / "data").mkdir()
    (folder / "data" / "c.nii.gz").write_bytes(b"arrived")
    for name, modality in (("bright", "MR"), ("dark", "PT")):
        text = TOY_DATASET.format(name=name, modality=modality, root=folder / "data")
        (folder / f"{name}.yaml").write_text(text)
    (folder / "toy.yaml").write_text(TOY_STUDY.format(folder=folder))
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "XMED_HOME": str(home), "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(prefect_database)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout.strip().splitlines()[-1] == f"{folder} Completed", done.stderr[-3000:]
    assert "seen" in json.loads((home / "watch" / "toy-new.json").read_text())
