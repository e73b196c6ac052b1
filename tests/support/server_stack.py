"""A home whose own servers are up (`xmed up`): PostgreSQL, MLflow, Prefect and a worker."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.command_processes import ROOT, environment
from xmed.errors import XmedError
from xmed.server.stack import passwords, postgres
from xmed.server.stack.paths import StackPlace

OURS = ("PREFECT_", "MLFLOW_", "XMED_SECRET")


@pytest.fixture(autouse=True)
def place(tmp_path):
    """An empty home; the environment, which a command prepares for its process, is put back."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    os.environ["XMED_HOME"] = str(tmp_path / "home")
    yield StackPlace(tmp_path / "home")
    os.environ.clear()
    os.environ.update(before)


def answer(home, *words):
    """What a command answers with --json, in a process of its own."""
    command = [sys.executable, "-m", "xmed.cli.main", *words, "--json"]
    done = subprocess.run(command, env=environment(home), cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def password(home, name):
    return "xmed", passwords.stack_password(home, name)


@pytest.fixture(scope="module")
def standing():
    """A home with its servers up; in a folder that the account of PostgreSQL may enter, which pytest's is not."""
    if not find_spec("psycopg2") or not find_spec("flask_wtf"):
        pytest.skip("the extra `stack` is not installed")
    try:
        postgres.programs.cache_clear()
        postgres.programs(Path("nowhere"))
    except XmedError as problem:
        pytest.skip(f"{problem}")
    folder = Path(tempfile.mkdtemp(prefix="xmed-stack-"))
    folder.chmod(0o755)
    try:
        answer(folder / "home", "up", "--port", "0", "--mlflow-port", "0")
        yield folder / "home"
    finally:
        for home in (folder / "home", folder / "again"):
            answer(home, "down")
        shutil.rmtree(folder)
