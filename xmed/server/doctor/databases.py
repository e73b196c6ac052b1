"""Databases: of MLflow and Prefect: whole, reachable, and as new as the packages that use them."""

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
from xmed.server.stack import postgres
from xmed.server.stack.paths import Place

WAIT_SECONDS = 5.0
MIGRATIONS = {
    "mlflow.db": ("mlflow", "store/db_migrations/versions", "mlflow db upgrade"),
    "prefect.db": ("prefect", "server/database/_migrations/versions/sqlite", "prefect server database upgrade"),
}
"""Where each package keeps its migrations (alembic), and what brings an older database to the newest."""
IN_POSTGRES = {
    "mlflow": ("mlflow", "store/db_migrations/versions", "mlflow db upgrade"),
    "prefect": ("prefect", "server/database/_migrations/versions/postgresql", "prefect server database upgrade"),
}
"""The same of the databases of `xmed up`."""


def databases(home: Path) -> Iterator[Check]:
    if _down(home):
        yield Check("database", False, f"the servers of {home} are down: `xmed up`")
        return
    for name, variable in (("mlflow.db", "MLFLOW_TRACKING_URI"), ("prefect/prefect.db", "PREFECT_API_URL")):
        url = os.environ.get(variable)
        if url and url.startswith("http"):
            yield _server(variable, url)
        elif url:
            yield Check("database", True, f"{variable} is set: {url.split('://')[0]} database, not looked into")
        else:
            yield _file(home / name)
    yield from _of_stack(Place(home))


def tracking_answers(home: Path) -> bool:
    """Whether MLflow can be asked: where its server does not answer, each question would take it minutes to give up."""
    url = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not url and elsewhere(home):
        return False  # to ask it would put it right; `--fix` has done so before
    return not _down(home) and (not url.startswith("http") or _server("MLFLOW_TRACKING_URI", url).ok)


def _down(home: Path) -> bool:
    """Whether this home has servers of its own (`xmed up`), and they are not up: else they stood in the environment."""
    return stack_file(home).is_file() and not os.environ.get("MLFLOW_TRACKING_URI")


def _server(variable: str, url: str) -> Check:
    """Both answer at /health, Prefect below its /api."""
    shown = re.sub("//[^/@]*@", "//…@", url)  # a password may stand in it
    try:
        answer = requests.get(url.rstrip("/") + "/health", timeout=WAIT_SECONDS)
        said = "answers" if answer.ok else f"answers {answer.status_code} {answer.reason}"
        return Check("database", answer.ok, f"{variable}={shown}: {said}")
    except requests.RequestException as problem:
        return Check("database", False, f"{variable}={shown} does not answer: {type(problem).__name__}")


def _file(path: Path) -> Check:
    if not path.is_file():
        return Check("database", True, f"{path.name} is not there yet")
    package, folder, upgrade = MIGRATIONS[path.name]
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                return Check("database", False, f"{path}: {said}")
            (now,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as problem:  # TypeError: no row, so nobody ever finished making it
        return Check("database", False, f"{path}: {problem}")
    return _as_new(str(path), now, package, folder, upgrade)


def _of_stack(place: Place) -> Iterator[Check]:
    ports = place.ports()
    if ports is None:
        return
    for name, (package, folder, upgrade) in IN_POSTGRES.items():
        url = postgres.url(name, name, ports.postgres)
        try:
            now = postgres.migration(place, ports.postgres, name)
        except XmedError as problem:
            yield Check("database", False, f"{url}: {problem.what}")
        else:
            yield _as_new(url, now, package, folder, upgrade)


def _as_new(where: str, now: str, package: str, folder: str, upgrade: str) -> Check:
    newest, known = _revisions(package, folder)
    if now == newest:
        return Check("database", True, f"{where}: ok, migration {now}")
    older = f"of an older {package}: `{upgrade}` brings it to {newest}"
    newer = f"of a newer {package} than the one installed: install that again, or set XMED_HOME to another folder"
    return Check("database", False, f"{where}: migration {now}, {older if now in known else newer}")


def _revisions(package: str, folder: str) -> tuple[str, set[str]]:
    """The newest migration a package knows, and all of them, without importing it: that takes seconds."""
    found = find_spec(package)
    place = Path(str(found and found.origin)).parent / folder
    revisions, before = set[str](), set[str]()
    for path in place.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        revisions |= set(re.findall(r'^revision\b[^=]*=\s*["\'](\w+)', text, re.MULTILINE))
        said = re.search(r"^down_revision\b[^=]*=(.*?)(?=^\w)", text, re.MULTILINE | re.DOTALL)
        before |= set(re.findall(r'["\'](\w+)["\']', said[1])) if said else set()
    (newest,) = revisions - before
    return newest, revisions
