"""A home's own servers: what is asked is checked, nobody enters without a password, and a scheduled run ends there."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.command_processes import SCHEDULE, balls, until, xmed
from support.server_stack import answer, password, place, standing  # noqa: F401
from xmed.cli.main import main
from xmed.errors import XmedError
from xmed.files.locks import hold_lock, lock_owner
from xmed.registry.tracking_store import is_there, tracking_uri
from xmed.run import Run
from xmed.server.doctor import examine
from xmed.server.doctor.databases import IN_POSTGRES, _revisions, check_databases
from xmed.server.prefect_server import server_lock
from xmed.server.stack import passwords, postgres
from xmed.server.stack.paths import Ports, StackPlace, use_stack
from xmed.server.stale_flow_runs import close_scheduled_runs


def test_a_password_is_for_its_owner_alone_and_stays(place):
    passwords.make_passwords(place.home)
    first = {name: passwords.stack_password(place.home, name) for name in passwords.NAMES}
    passwords.make_passwords(place.home)
    assert {name: passwords.stack_password(place.home, name) for name in passwords.NAMES} == first
    assert len(set(first.values())) == len(passwords.NAMES)
    for path in passwords.secrets_folder(place.home).iterdir():
        assert path.stat().st_mode & 0o077 == 0
    (passwords.secrets_folder(place.home) / "mlflow").chmod(0o640)
    with pytest.raises(
        XmedError, match=r"error\[KEY_INVALID\]: found others may read .*mlflow · expected mode 0600 · fix chmod 600"
    ):
        passwords.stack_password(place.home, "mlflow")


def test_a_password_that_the_environment_states_is_not_written_down(place, monkeypatch, tmp_path):
    monkeypatch.setenv("XMED_SECRET_MLFLOW_DATABASE", "from the vault")
    monkeypatch.setenv("XMED_SECRETS", str(tmp_path / "elsewhere"))
    passwords.make_passwords(place.home)
    assert passwords.stack_password(place.home, "mlflow-database") == "from the vault"
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {*passwords.NAMES} - {"mlflow-database"}
    monkeypatch.delenv("XMED_SECRET_MLFLOW_DATABASE")
    with pytest.raises(
        XmedError, match=r"KEY_INVALID\]: found no password 'mlflow-database' in .*XMED_SECRET_MLFLOW_DATABASE"
    ):
        passwords.stack_password(place.home, "mlflow-database")


def test_a_home_whose_servers_are_down_says_so_and_opens_no_other_registry(place, capsys):
    assert not use_stack(place.home)
    assert tracking_uri(place.home).startswith("sqlite:")
    place.save_ports(Ports(4200, 5000, 5432))
    assert is_there(place.home)
    with pytest.raises(
        XmedError, match=r"error\[SERVER_FAILED\]: found the servers of .* are down · expected .* · fix xmed up"
    ):
        tracking_uri(place.home)
    assert main(["models"]) == 2
    assert main(["schedule"]) == 2
    assert capsys.readouterr().err.count("are down") == 2
    assert not (place.home / "mlflow.db").exists()
    (found,) = [
        check for check in examine(place.home) if not check.ok and check.name not in ("disk", "packages", "privacy")
    ]
    assert (found.name, found.detail) == ("database", f"the servers of {place.home} are down: `xmed up`")


def test_what_the_environment_says_wins_over_the_stack_and_is_never_told_its_passwords(place, monkeypatch):
    place.save_ports(Ports(4200, 5000, 5432))
    passwords.make_passwords(place.home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry.example")
    with hold_lock(server_lock(place.home), what="xmed up"):
        assert use_stack(place.home)
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://registry.example"
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_no_stack_comes_up_beside_other_servers(variable, monkeypatch, capsys, place):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert main(["up"]) == 2
    assert f"error[USAGE]: found {variable} is set · expected no other servers" in capsys.readouterr().err


def test_no_stack_comes_up_where_somebody_serves_this_home(place, capsys):
    with hold_lock(server_lock(place.home), what="xmed serve", url="http://127.0.0.1:9/api"):
        assert main(["up"]) == 2
        assert "error[BUSY]: found xmed serve, process" in capsys.readouterr().err


def test_where_a_stack_is_up_nobody_else_serves(place, capsys):
    with hold_lock(server_lock(place.home), what="xmed up", url="http://127.0.0.1:9/api"):
        assert main(["serve"]) == 2
        assert "error[BUSY]: found xmed up starts scheduled runs of this home already" in capsys.readouterr().err


def test_without_postgresql_one_sentence_says_what_to_install(place, monkeypatch, capsys):
    postgres.programs.cache_clear()
    monkeypatch.setattr(postgres.shutil, "which", lambda name: None)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    assert main(["up"]) == 2
    said = capsys.readouterr().err
    assert "error[SERVER_FAILED]: found no PostgreSQL · expected its server · fix apt-get install postgresql" in said
    assert not place.folder.exists()


def test_where_nothing_is_up_nothing_is_ended(place, capsys):
    assert main(["down", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"up": False, "was_up": False, "ended": []}


def test_scheduled_runs_that_a_killed_worker_left_are_said_to_have_crashed_and_no_others():
    runs = [
        SimpleNamespace(id=1, name="at-night", deployment_id=9),
        SimpleNamespace(id=2, name="by-hand", deployment_id=None),
    ]
    told = {}

    class Client:
        def read_flow_runs(self, flow_run_filter):
            assert {one.value for one in flow_run_filter.state.type.any_} == {"PENDING", "RUNNING", "CANCELLING"}
            return runs

        def set_flow_run_state(self, key, state, force):
            told[key] = (state.type.value, force)

    assert close_scheduled_runs(Client()) == ["at-night"]
    assert told == {1: ("CRASHED", True)}


ROUTES = [
    ("GET", "mlflow", "/"),
    ("POST", "mlflow", "/api/2.0/mlflow/experiments/create"),
    ("GET", "mlflow", "/api/2.0/mlflow/experiments/search?max_results=9"),
    ("POST", "mlflow", "/api/2.0/mlflow/runs/search"),
    ("POST", "mlflow", "/api/2.0/mlflow/registered-models/create"),
    ("GET", "mlflow", "/api/2.0/mlflow/registered-models/search"),
    ("POST", "mlflow", "/api/2.0/mlflow/registered-models/alias"),
    ("GET", "mlflow", "/api/2.0/mlflow-artifacts/artifacts"),
    ("PUT", "mlflow", "/api/2.0/mlflow-artifacts/artifacts/x"),
    ("POST", "mlflow", "/api/2.0/mlflow-artifacts/mpu/create/x"),
    ("GET", "mlflow", "/get-artifact?path=..%2f..%2fsecrets%2fmlflow&run_id=x"),
    ("POST", "mlflow", "/api/2.0/mlflow/users/create"),
    ("POST", "mlflow", "/ajax-api/3.0/jobs/"),
    ("POST", "mlflow", "/v1/traces"),
    ("POST", "mlflow", "/graphql"),
    ("POST", "prefect", "/api/flow_runs/filter"),
    ("POST", "prefect", "/api/deployments/filter"),
    ("POST", "prefect", "/api/deployments/"),
    ("POST", "prefect", "/api/work_pools/filter"),
    ("POST", "prefect", "/api/block_documents/filter"),
    ("POST", "prefect", "/api/variables/filter"),
    ("GET", "prefect", "/api/variables/name/system-health"),
    ("POST", "prefect", "/api/artifacts/filter"),
    ("POST", "prefect", "/api/logs/filter"),
    ("POST", "prefect", "/api/events"),
    ("GET", "prefect", "/api/admin/settings"),
    ("POST", "prefect", "/api/admin/database/clear"),
]
"""Open to everybody are, besides the files of the pages: both servers' /health, MLflow's server-info, Prefect's /docs."""
SOCKETS = ["/api/events/in", "/api/events/out", "/api/logs/out"]


def status(home, method, server, route, who=None):
    url = json.loads((home / "stack" / "stack.json").read_text())[server]
    body = {} if method == "POST" else None
    found = requests.request(
        method, f"http://127.0.0.1:{url}{route}", json=body, auth=who, timeout=30, allow_redirects=False
    )
    return found.status_code


@pytest.mark.services
@pytest.mark.parametrize(("method", "server", "route"), ROUTES)
def test_nobody_enters_without_a_password(standing, method, server, route):
    assert status(standing, method, server, route) in (401, 403)
    assert status(standing, method, server, route, ("xmed", "xmed")) in (401, 403)


@pytest.mark.services
@pytest.mark.parametrize("route", SOCKETS)
def test_nobody_listens_in_without_a_password(standing, route):
    port = json.loads((standing / "stack" / "stack.json").read_text())["prefect"]
    with connect(f"ws://127.0.0.1:{port}{route}", subprotocols=["prefect"]) as socket:
        socket.send(json.dumps({"type": "auth", "token": "xmed:xmed"}))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)


@pytest.mark.services
def test_with_the_password_everything_answers_and_jobs_do_not_run(standing):
    admin = password(standing, "mlflow")
    assert status(standing, "GET", "mlflow", "/api/2.0/mlflow/registered-models/search", admin) == 200
    assert status(standing, "POST", "prefect", "/api/flow_runs/filter", password(standing, "prefect")) == 200
    assert status(standing, "POST", "mlflow", "/ajax-api/3.0/jobs/", admin) >= 400


@pytest.mark.services
def test_no_password_shows_in_a_list_of_processes_or_in_a_log(standing):
    passwords = [path.read_text().strip() for path in (standing / "stack" / "secrets").iterdir()]
    shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert str(standing / "stack" / "postgres") in shown
    texts = [shown, *(path.read_text(errors="replace") for path in (standing / "logs").iterdir())]
    assert len(texts) > 4
    assert not [text for text in texts for one in passwords if one in text]


@pytest.mark.services
def test_the_doctor_knows_at_which_migration_both_databases_are(standing, monkeypatch):
    assert use_stack(standing)

    def judged():
        found = [check for check in check_databases(standing) if "postgresql://" in check.detail]
        return {check.detail.split("/")[-1]: check.ok for check in found}

    newest, _ = _revisions(*IN_POSTGRES["mlflow"][:2])
    (mine, other) = sorted(judged())
    assert (mine, other.partition(":")[0]) == (f"mlflow: ok, migration {newest}", "prefect")
    assert all(judged().values())
    monkeypatch.setitem(IN_POSTGRES, "mlflow", IN_POSTGRES["prefect"])
    (mine, _) = sorted(judged())
    assert f"mlflow: migration {newest}, of a newer prefect" in mine
    assert sorted(judged().values()) == [False, True]
    monkeypatch.setattr(StackPlace, "ports", lambda _: Ports(1, 1, 1))
    assert not any(judged().values())


@pytest.mark.services
def test_a_scheduled_run_fires_by_itself_and_leaves_a_candidate_which_a_restored_home_has_too(standing):
    study = balls(standing.parent, steps=8)
    with xmed(standing, "-c", SCHEDULE, str(study)) as schedule:
        until(schedule, "balls")
        assert schedule.wait(120) == 0
    ended = time.monotonic() + 400
    while not list(standing.glob("runs/*/begun.json")):
        assert time.monotonic() < ended
        time.sleep(0.5)
    answer(standing, "schedule", "balls", "--remove")
    while not list(standing.glob("runs/*/ended.json")):
        assert time.monotonic() < ended, (standing / "logs" / "worker.log").read_text()[-3000:]
        time.sleep(0.5)
    (folder,) = (standing / "runs").iterdir()
    registered = Run(folder).read("ended")["registered"]
    assert (registered["name"], registered["version"], registered["xmed.run"]) == ("balls", 1, folder.name)
    models = answer(standing, "models")
    assert [row["xmed.run"] for row in models] == [folder.name]
    assert not (standing / "mlflow.db").exists()

    file = standing.parent / "backup.tar.gz"
    assert answer(standing, "backup", str(file))["registry"] == "postgresql"
    assert file.stat().st_mode & 0o077 == 0
    answer(standing, "down")
    assert not [line for line in processes() if str(standing) in line]
    again = standing.parent / "again"
    assert answer(again, "restore", str(file))["registry"] == "postgresql"
    standing.rename(standing.with_name("gone"))
    try:
        answer(again, "up", "--port", "0", "--mlflow-port", "0")
        assert answer(again, "models") == models
        assert answer(again, "audit", "verify")["ok"]
        assert answer(again, "report", "verify", str(again / "runs" / folder.name))["ok"]
        assert passwords.stack_password(again, "mlflow") != passwords.stack_password(
            standing.with_name("gone"), "mlflow"
        )
        os.kill(lock_owner(server_lock(again))[0].pid, signal.SIGKILL)
        assert set(answer(again, "down")["ended"]) == {"postgres", "mlflow", "prefect", "worker"}
        assert not [line for line in processes() if str(again) in line]
    finally:
        standing.with_name("gone").rename(standing)


def processes():
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
