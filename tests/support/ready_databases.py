"""Empty databases of Prefect and MLflow, made once in a test run and copied: to make one takes over a hundred migrations."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock


def prefect_database(folder: Path) -> Path:
    """An empty database of Prefect's server in `folder`, which several processes may ask for at the same time."""
    path = folder / "prefect-of-all" / "prefect.db"
    with FileLock(folder / "prefect-of-all.lock"):
        if not path.is_file():
            kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            new = path.parent.with_name("prefect-new")
            subprocess.run(command, env={**kept, "PREFECT_HOME": str(new)}, check=True, capture_output=True)
            new.rename(path.parent)
    return path


@contextmanager
def prefect_harness(database: Path) -> Iterator[None]:
    """An embedded server of Prefect for this process, which begins with a copy of an empty database.

    Prefect's own harness makes over a hundred migrations each time.
    """
    from prefect.testing import utilities

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        shutil.copyfile(database, Path(folder) / "prefect-test.db")
        patch.setattr(utilities, "mkdtemp", lambda: folder)
        # It takes long where the machine does other work.
        with utilities.prefect_test_harness(server_startup_timeout=600):
            yield


def give_prefect_database(home: Path, database: Path) -> None:
    """Let a home begin with an empty database of Prefect's server, as private as one that a command makes."""
    folder = home / "prefect"
    folder.mkdir(parents=True, mode=0o700)
    shutil.copyfile(database, folder / "prefect.db")
    (folder / "prefect.db").chmod(0o600)


def copy_new_tracking_stores(patch: pytest.MonkeyPatch, template: Path) -> None:
    """From now on a new SQLite store of MLflow becomes a copy of `template`, which the first of them makes.

    Only in this process: a command that a test starts as a process of its own makes its store as ever.
    """
    from mlflow.store.db import utils

    migrate = utils._upgrade_db

    def migrate_or_copy(engine):
        with closing(engine.raw_connection()) as pooled:
            store = pooled.dbapi_connection
            if not isinstance(store, sqlite3.Connection) or not _is_new(store):
                migrate(engine)
            elif template.is_file():
                with closing(sqlite3.connect(template)) as source:
                    source.backup(store)
            else:
                migrate(engine)
                part = template.with_name(f"{os.getpid()}.part")
                with closing(sqlite3.connect(part)) as copy:
                    store.backup(copy)
                part.rename(template)

    patch.setattr(utils, "_upgrade_db", migrate_or_copy)


def _is_new(store: sqlite3.Connection) -> bool:
    """Whether the store has the tables that MLflow begins with, and no migration and no experiment yet."""
    names = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "alembic_version" not in names and not store.execute("SELECT count(*) FROM experiments").fetchone()[0]
