"""A home with a registered model of three numbers, and reports that verify as long as they are as written."""

import shutil
import sqlite3
import sys
import types
from contextlib import closing

import pytest

from support import registrable_runs
from xmed import registry
from xmed.registry import audit_log
from xmed.registry.tracking_store import client

NAME = registrable_runs.STUDY.register_as
FIRST, SECOND, THIRD = "Ada Reader", "Ben Surgeon", "Cleo Physicist"
SAYS = "reviewed the report; for evaluation on the research scanner only"
EVALUATION, USE, CANDIDATE = "clinical-evaluation", "clinical-use", "candidate"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    for name in ("MLFLOW_TRACKING_URI", audit_log.KEY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=registrable_runs.FakeModel))
    monkeypatch.setattr("xmed.report.verify_report", registrable_runs.verify)
    monkeypatch.setattr("xmed.report.write_report", registrable_runs.build)


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    home = tmp_path_factory.mktemp("blank")
    client(home).search_experiments()
    return home / "mlflow.db"


@pytest.fixture
def empty(blank, tmp_path):
    """A home whose registry is empty."""
    (tmp_path / "home").mkdir()
    shutil.copy(blank, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def shelf(blank, tmp_path_factory):
    """A home with one version, the candidate; tests get copies of it."""
    home = tmp_path_factory.mktemp("shelf") / "home"
    home.mkdir()
    shutil.copy(blank, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=registrable_runs.FakeModel))
        for name in ("MLFLOW_TRACKING_URI", audit_log.KEY):
            patch.delenv(name, raising=False)
        registry.register(registrable_runs.finished(home), home)
    return home


@pytest.fixture
def home(shelf, tmp_path):
    """A home with one version, the candidate."""
    return copied(shelf, tmp_path / "home")


def copied(home, into):
    """The same home elsewhere: MLflow keeps whole paths in its database."""
    shutil.copytree(home, into)
    with closing(sqlite3.connect(into / "mlflow.db")) as base, base:
        for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for column in [
                row[1] for row in base.execute(f"PRAGMA table_info('{table}')") if "CHAR" in row[2] or "TEXT" in row[2]
            ]:
                base.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE "{column}" LIKE ?',
                    (home.as_uri(), into.as_uri(), f"%{home.as_uri()}%"),
                )
    return into


def approve(home, version=1, by=FIRST, alias=EVALUATION, meaning=SAYS, **how):
    return registry.approve(NAME, version, home, by=by, meaning=meaning, alias=alias, **how)


def why(answer):
    assert answer.approved is False
    return " | ".join(reason.text for reason in answer.refused)


def another(home, shift=1.0):
    """A second version, which becomes the candidate."""
    return registry.register(registrable_runs.finished(home, shift=shift), home).version
