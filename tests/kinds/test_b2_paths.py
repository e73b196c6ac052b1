"""B2: whatever a home is called, everything that is written lies in it, and is found again."""

import os
import shutil
import sqlite3
import subprocess
import sys
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest

from support import registrable_runs, tiny_study
from support.checkout import ROOT
from xmed import registry, report
from xmed.registry.tracking_store import client
from xmed.server.backup import backup
from xmed.server.restore import restore

NAMES = [
    "Ä #1 100%25 ?x", "a?b", "a%25b", "a%2Fb", "a#b", "a b", "a&b;c", "it's", 'say "so"', unicodedata.normalize("NFD", "Größe"),
    "dot.", ":memory:", "mode=memory", "a[1]b*", "$HOME", "{x}", "-home", "file:x", "long" * 40, "患者",
]  # fmt: skip
"""Names of folders that mean something else in a URI, a shell or a pattern."""


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(report, "verify_report", registrable_runs.verify)
    monkeypatch.setattr(report, "write_report", registrable_runs.build)


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_lies_in_its_home(name, tmp_path):
    home = tmp_path / "above" / name
    client(home).create_registered_model("m")
    assert [path.name for path in home.parent.iterdir()] == [name]
    assert (home / "mlflow.db").is_file()
    assert [model.name for model in client(home).search_registered_models()] == ["m"]
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        assert connection.execute("SELECT name FROM registered_models").fetchall() == [("m",)]


def test_two_homes_do_not_share_what_stands_before_a_question_mark(tmp_path):
    for name in ("h?1", "h?2"):
        client(tmp_path / name).create_registered_model(name.replace("?", "-"))
    assert [model.name for model in client(tmp_path / "h?2").search_registered_models()] == ["h-2"]


@pytest.mark.parametrize("name", ["Ä #1 100%25 ?x", "a%41b", 'it\'s; "so" & [so]'])
def test_a_model_is_registered_fetched_backed_up_and_restored(name, tmp_path):
    home = tmp_path / name
    run = registrable_runs.finished(home)
    assert registry.register(run, home).version == 1
    assert (registry.fetch("models:/toy-prostate-us/1", home) / "weights.safetensors").is_file()
    backup(home, tmp_path / "b.tar")
    other = tmp_path / f"other {name}"
    restore(tmp_path / "b.tar", other)
    shutil.rmtree(home)
    assert (registry.fetch("models:/toy-prostate-us/1", other) / "weights.safetensors").is_file()
    assert str(registry.fetch("models:/toy-prostate-us/1", other)).startswith(str(other))


PREFECT = """
from xmed.server.process_environment import open_home, prepare_environment
prepare_environment(); open_home()
from prefect.server.database.dependencies import provide_database_interface
import asyncio
asyncio.run(provide_database_interface().create_db())
"""


@pytest.mark.parametrize("name", ["Ä #1 100%25 ?x", ":memory:"])
def test_the_schedules_lie_in_their_home(name, tmp_path):
    home = tmp_path / "above" / name
    home.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", PREFECT], env=tiny_study.surroundings(home), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in home.parent.iterdir()] == [name]
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as connection:
        assert connection.execute("SELECT count(*) FROM flow").fetchone() == (0,)


@pytest.mark.parametrize("kind", ["relative", "link"])
def test_a_home_that_is_a_link_or_relative_stays_where_it_is(kind, tmp_path, monkeypatch):
    real = tmp_path / "re?al"
    real.mkdir()
    (tmp_path / "li#nk").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    home = Path("re?al").absolute() if kind == "relative" else tmp_path / "li#nk"
    registry.register(registrable_runs.finished(home), home)
    for place in (home, real):
        assert (registry.fetch("models:/toy-prostate-us/1", place) / "weights.safetensors").is_file()
    assert sorted(os.listdir(tmp_path)) == ["li#nk", "re?al"]


@pytest.mark.parametrize("lacks", ["a home", "a name", "both", "neither"])
def test_an_account_that_the_system_does_not_know_works(tmp_path, lacks):
    """As a container gives it: a number, no HOME, no entry among the accounts; libraries ask for both at import."""
    script = (
        "import getpass, os, pwd\n"
        "def unknown(uid):\n    raise KeyError(f'getpwuid(): uid not found: {uid}')\n"
        "pwd.getpwuid = unknown\n"
        "from xmed.server.process_environment import prepare_environment\n"
        "prepare_environment()\n"
        "from pathlib import Path\n"
        "print(Path.home(), getpass.getuser(), sep='|')\n"
    )
    given = {"HOME": "/somewhere", "USER": "ada"}
    gone = {"a home": ["HOME"], "a name": ["USER"], "both": ["HOME", "USER"], "neither": []}[lacks]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME")
    }
    environment = {
        **kept,
        **{k: v for k, v in given.items() if k not in gone},
        "XMED_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    home, name = done.stdout.strip().split("|")
    assert home == (str(tmp_path / "home") if "HOME" in gone else "/somewhere")
    assert name == (f"uid-{os.getuid()}" if "USER" in gone else "ada")
