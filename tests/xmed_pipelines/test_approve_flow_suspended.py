"""An approval under a worker: suspended until a person decides, without a process that waits, and then gone on with."""

import signal
import sys
import time
import types
from pathlib import Path

import pytest

from support.command_processes import until, xmed
from support.ready_databases import give_prefect_database
from support.registrable_runs import STUDY, FakeModel, finished
from xmed import registry
from xmed.registry import audit_log
from xmed.registry.registration import EVALUATION, holder

NAME = STUDY.register_as
DEPLOY = """
import shlex, sys, time
from xmed.server.process_environment import prepare_environment
from xmed.server.prefect_server import use_server
home = prepare_environment()
assert use_server(home)
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType
from xmed_pipelines.schedules import POOL
from support.approval_flow import approve
deployment = RunnerDeployment.from_flow(
    approve, "asked", work_pool_name=POOL, entrypoint_type=EntrypointType.MODULE_PATH,
    parameters={"name": sys.argv[1], "version": 1},
    job_variables={"command": shlex.join([sys.executable, "-m", "prefect.engine"]), "env": {"XMED_HOME": str(home)}},
)
deployment.entrypoint = "support.approval_flow.approve"
deployment.apply(work_pool_name=POOL)
asked = run_deployment("approve/asked", timeout=0)
print("asked", asked.id, flush=True)
with get_client(sync_client=True) as client:
    for wanted in ("Suspended", "Completed"):
        while (state := client.read_flow_run(asked.id).state).name != wanted:
            assert state.type.value not in ("FAILED", "CRASHED"), state
            time.sleep(0.5)
        print("state", wanted, flush=True)
"""
DECIDE = """
import sys
from support.registrable_runs import build, verify
from xmed import report
report.verify_report, report.write_report = verify, build
from xmed.cli.main import main
sys.exit(main())
"""


def alive(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are looked up as on Linux")
def test_a_suspended_approval_leaves_its_worker_and_goes_on_when_somebody_decides(home, prefect_database, monkeypatch):
    give_prefect_database(home, prefect_database)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv(audit_log.KEY, raising=False)
    monkeypatch.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=FakeModel))
    registry.register(finished(home), home)
    with xmed(home, "serve", "--port", "0") as serve:
        until(serve, "scheduled runs start here")
        with xmed(home, "-c", DEPLOY, NAME) as asked:
            until(asked, "state Suspended")
            [first] = (home / "processes").read_text().split()
            ended = time.monotonic() + 120
            while alive(first):
                assert time.monotonic() < ended, "the worker's process waits for a person"
                time.sleep(0.2)
            assert holder(NAME, EVALUATION, home) is None
            decision = ("approve", NAME, "1", "--by", "Ada Reader", "--meaning", "reviewed the report", "--json")
            with xmed(home, "-c", DECIDE, *decision) as person:
                said = person.communicate(timeout=400)[0]
                assert person.returncode == 0, said
            assert holder(NAME, EVALUATION, home) == 1
            until(asked, "state Completed")
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(60) == 0
    assert len((home / "processes").read_text().split()) == 2, "another process went on"
    assert list((home / "waiting").iterdir()) == []
    assert [one.event for one in audit_log.records(home)] == ["registered", "approved"]
    assert registry.verify_audit(home) == []
