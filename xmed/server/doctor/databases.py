"""Checks of the databases of MLflow and Prefect: undamaged, reachable, and as new as the packages that use them."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import requests

from xmed.errors import XmedError
from xmed.files.uri import read_only_uri
from xmed.registry.relocation import elsewhere
from xmed.run import stack_file
from xmed.server.doctor.check import Check
from xmed.server.preflight import without_password
from xmed.server.stack import postgres
from xmed.server.stack.paths import StackPlace

WAIT_SECONDS = 5.0
MIGRATIONS = {
    "mlflow.db": ("mlflow", "store/db_migrations/versions", "mlflow db upgrade"),
    "prefect.db": ("prefect", "server/database/_migrations/versions/sqlite", "prefect server database upgrade"),
}
"""SQLite file → package, folder of its migrations (alembic), and the command that updates an older database."""
IN_POSTGRES = {
    "mlflow": ("mlflow", "store/db_migrations/versions", "mlflow db upgrade"),
    "prefect": ("prefect", "server/database/_migrations/versions/postgresql", "prefect server database upgrade"),
}
"""The same for the databases of `xmed up`, by name."""


def check_databases(home: Path) -> Iterator[Check]:
    """Check the databases that a home uses: embedded, of `xmed up`, or of servers that the environment names."""
    if _is_stack_down(home):
        yield Check("database", False, f"the servers of {home} are down: `xmed up`")
        return
    for name, variable in (("mlflow.db", "MLFLOW_TRACKING_URI"), ("prefect/prefect.db", "PREFECT_API_URL")):
        url = os.environ.get(variable)
        if url and url.startswith("http"):
            yield _check_server(variable, url)
        elif url:
            yield Check("database", True, f"{variable} is set: {url.split('://')[0]} database, not looked into")
        else:
            yield _check_file(home / name)
    yield from _check_stack(StackPlace(home))


def tracking_answers(home: Path) -> bool:
    """Whether MLflow can be asked. Where its server does not answer, each question would take minutes to fail."""
    url = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not url and elsewhere(home):
        return False  # asking would correct the registry of a moved home; only `--fix` may, and has done so before
    return not _is_stack_down(home) and (not url.startswith("http") or _check_server("MLFLOW_TRACKING_URI", url).ok)


def _is_stack_down(home: Path) -> bool:
    """Whether this home has servers (`xmed up`) that are down: if they were up, the environment would name them."""
    return stack_file(home).is_file() and not os.environ.get("MLFLOW_TRACKING_URI")


def _check_server(variable: str, url: str) -> Check:
    """Ask a server whether it is well; both answer at /health, Prefect below its /api."""
    public_url = without_password(url)
    try:
        response = requests.get(url.rstrip("/") + "/health", timeout=WAIT_SECONDS)
        status = "answers" if response.ok else f"answers {response.status_code} {response.reason}"
        return Check("database", response.ok, f"{variable}={public_url}: {status}")
    except requests.RequestException as problem:
        return Check("database", False, f"{variable}={public_url} does not answer: {type(problem).__name__}")


def _check_file(path: Path) -> Check:
    if not path.is_file():
        return Check("database", True, f"{path.name} is not there yet")
    package, folder, upgrade = MIGRATIONS[path.name]
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
            (quick_check,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if quick_check != "ok":
                return Check("database", False, f"{path}: {quick_check}")
            (migration,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as problem:  # TypeError: no row, so its making was never finished
        return Check("database", False, f"{path}: {problem}")
    return _check_migration(str(path), migration, package, folder, upgrade)


def _check_stack(place: StackPlace) -> Iterator[Check]:
    ports = place.ports()
    if ports is None:
        return
    for name, (package, folder, upgrade) in IN_POSTGRES.items():
        url = postgres.database_url(name, name, ports.postgres)
        try:
            migration = postgres.current_migration(place, ports.postgres, name)
        except XmedError as problem:
            yield Check("database", False, f"{url}: {problem.what}")
        else:
            yield _check_migration(url, migration, package, folder, upgrade)


def _check_migration(where: str, migration: str, package: str, folder: str, upgrade: str) -> Check:
    """Whether a database is at the newest migration that the installed package knows."""
    newest, revisions = _revisions(package, folder)
    if migration == newest:
        return Check("database", True, f"{where}: ok, migration {migration}")
    older = f"of an older {package}: `{upgrade}` brings it to {newest}"
    newer = f"of a newer {package} than the one installed: install that again, or set XMED_HOME to another folder"
    return Check("database", False, f"{where}: migration {migration}, {older if migration in revisions else newer}")


def _revisions(package: str, folder: str) -> tuple[str, set[str]]:
    """The newest migration that a package knows, and all of them; read without importing it, which takes seconds."""
    module = find_spec(package)
    migrations = Path(str(module and module.origin)).parent / folder
    revisions, superseded = set[str](), set[str]()
    for path in migrations.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        revisions |= set(re.findall(r'^revision\b[^=]*=\s*["\'](\w+)', text, re.MULTILINE))
        previous = re.search(r"^down_revision\b[^=]*=(.*?)(?=^\w)", text, re.MULTILINE | re.DOTALL)
        superseded |= set(re.findall(r'["\'](\w+)["\']', previous[1])) if previous else set()
    (newest,) = revisions - superseded
    return newest, revisions
