"""B3: a home that was moved, or copied, is found out, put right and used on; the original is left alone."""

import json
import os
import shutil
import sqlite3
import uuid
from contextlib import closing

import pytest
from mlflow import MlflowClient

from support import registrable_runs
from xmed import registry, report
from xmed.server import doctor
from xmed.server.doctor import leftovers, machine
from xmed.server.doctor.check import Check

MODEL = "models:/toy-prostate-us/1"


@pytest.fixture(autouse=True)
def sound(monkeypatch, tmp_path):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(report, "verify_report", registrable_runs.verify)
    monkeypatch.setattr(report, "write_report", registrable_runs.build)
    monkeypatch.setattr(machine, "check_packages", lambda: iter([Check("packages", True, "")]))
    monkeypatch.setattr(machine, "check_device", lambda: iter([Check("device", True, "")]))
    monkeypatch.setattr(machine, "LEAST_DISK_GB", 0.0)
    monkeypatch.setattr(leftovers, "gpu_lock_folder", lambda: tmp_path / "gpus")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with a registered model, whose audit log and reports are whole; never used itself."""
    home = tmp_path_factory.mktemp("first") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(report, "verify_report", registrable_runs.verify)
        patch.setattr(report, "write_report", registrable_runs.build)
        registry.register(registrable_runs.finished(home), home)
    return home


@pytest.fixture
def home(made, tmp_path):
    """The same in a place of its own, as if it had been made there."""
    home = tmp_path / "home"
    shutil.copytree(made, home)
    with closing(sqlite3.connect(home / "mlflow.db")) as connection, connection:
        for table, column in PATHS:
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (made.as_uri(), home.as_uri()))
    shutil.rmtree(home / "models", ignore_errors=True)
    return home


PATHS = [("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"), ("model_versions", "storage_location")]  # fmt: skip


def named(home):
    """Every home that the registry's database names."""
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        rows = [row[0] for table, column in PATHS for row in connection.execute(f"SELECT {column} FROM {table}")]
    return {row.split("/mlartifacts")[0] for row in rows if "/mlartifacts" in row}


def works(home):
    assert (registry.fetch(MODEL, home) / "weights.safetensors").is_file()
    answer = registry.approve("toy-prostate-us", 1, by="Ada Reader", meaning="read it", home=home)
    assert answer.approved, answer
    assert registry.verify_audit(home) == []


@pytest.mark.parametrize("name", ["elsewhere", "Ä #1 100%25 ?x", "a b/c/home", "home2"])
def test_the_doctor_sees_a_home_that_was_moved_and_brings_it_right(home, tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    moved = home.rename(tmp_path / name)
    wrong = [check for check in doctor.examine(moved) if not check.ok]
    assert any(str(home) in check.detail for check in wrong), wrong
    assert named(moved) == {home.as_uri()}  # whoever only looks writes nothing
    doctor.examine(moved, fix=True)
    assert named(moved) == {moved.as_uri()}
    assert not [check for check in doctor.examine(moved) if not check.ok and str(home) in check.detail]
    works(moved)
    assert not home.exists()


def test_a_parent_folder_gets_another_name(home, tmp_path):
    parent = (tmp_path / "parent").absolute()
    parent.mkdir()
    first = home.rename(parent / "home")
    works(first)
    parent.rename(tmp_path / "parent 2")
    assert (registry.fetch(MODEL, tmp_path / "parent 2" / "home") / "weights.safetensors").is_file()


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_copy_is_used_and_the_original_is_not_touched(home, tmp_path):
    copy = tmp_path / "a copy"
    shutil.copytree(home, copy)
    before = contents(home)
    doctor.examine(copy, fix=True)
    works(copy)
    registry.register(registrable_runs.finished(copy, shift=1.0), copy)  # the experiment is there already
    assert contents(home) == before
    assert not any(str(home) + "/" in uri for uri in named(copy))
    works(home)


def test_a_copy_writes_into_itself_without_a_doctor(home, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    before = contents(home)
    registry.register(registrable_runs.finished(copy, shift=1.0), copy)
    assert contents(home) == before


def test_the_old_place_is_taken_by_another_home(home, tmp_path):
    moved = home.rename(tmp_path / "moved")
    registry.register(registrable_runs.finished(home, shift=2.0), home)
    before = contents(home)
    doctor.examine(moved, fix=True)
    works(moved)
    assert contents(home) == before


def test_a_link_to_a_home_is_no_other_home(home, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(home)
    assert not [check for check in doctor.examine(link) if not check.ok and "moved" in check.detail]
    works(link)
    works_still = registry.fetch(MODEL, home)
    assert works_still.is_dir()


def test_the_doctor_opens_something_of_each_version(home):
    assert not [check for check in doctor.examine(home) if not check.ok and check.name != "privacy"]
    client = MlflowClient(
        tracking_uri=f"sqlite:///{home / 'mlflow.db'}", registry_uri=f"sqlite:///{home / 'mlflow.db'}"
    )
    place = client.get_model_version_download_uri("toy-prostate-us", "1").removeprefix("file://")
    shutil.rmtree(place)
    assert any("toy-prostate-us 1" in check.detail for check in doctor.examine(home) if not check.ok)


def test_schedules_of_a_moved_home_work_where_it_is(home, tmp_path):
    """The table as Prefect 3 makes it, as far as it matters: the settings of a deployment are JSON."""
    (home / "prefect").mkdir()
    settings = {
        "env": {"XMED_HOME": str(home), "XMED_DATA": "/data"},
        "working_dir": f"{home}/specs",
        "command": "python",
    }
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as connection, connection:
        connection.execute("CREATE TABLE deployment (id TEXT, job_variables JSON, parameters JSON)")
        connection.execute("INSERT INTO deployment VALUES (?, ?, '{}')", (str(uuid.uuid4()), json.dumps(settings)))
    moved = home.rename(tmp_path / "Ä ?")
    assert any("moved" in check.detail for check in doctor.examine(moved) if not check.ok)
    doctor.examine(moved, fix=True)
    with closing(sqlite3.connect(moved / "prefect" / "prefect.db")) as connection:
        found = json.loads(connection.execute("SELECT job_variables FROM deployment").fetchone()[0])
    assert found == {
        "env": {"XMED_HOME": str(moved), "XMED_DATA": "/data"},
        "working_dir": f"{moved}/specs",
        "command": "python",
    }
    assert os.path.isdir(moved)
