"""Schedules of a home that was moved or copied: they still name the old place, and are corrected."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from xmed.files.uri import read_only_uri

COLUMNS = ("job_variables", "infra_overrides")
"""What Prefect calls a deployment's settings, of late and before."""


def schedules_elsewhere(home: Path) -> list[str]:
    """The homes that schedules of this one's embedded database would work in, and that are not this one."""
    database = home / "prefect" / "prefect.db"
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=30)) as connection:
            return sorted({before for _, _, before in _rows(connection, home)})
    except sqlite3.Error:  # damaged, or not made yet: the doctor says so
        return []


def bring_schedules(home: Path) -> list[str]:
    """Have the schedules work in this home, where they name others; returns these."""
    found = schedules_elsewhere(home)
    if not found:
        return []
    with closing(sqlite3.connect(home / "prefect" / "prefect.db", timeout=60)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        column = _column(connection)
        for key, document, before in list(_rows(connection, home)):
            text = json.dumps(_renamed(document, before, str(home)))
            connection.execute(f"UPDATE deployment SET {column} = ? WHERE id = ?", (text, key))
    return found


def _rows(connection: sqlite3.Connection, home: Path) -> list[tuple[Any, dict[str, Any], str]]:
    column, found = _column(connection), []
    for key, text in connection.execute(f"SELECT id, {column} FROM deployment"):
        document = json.loads(text or "{}")
        before = (document.get("env") or {}).get("XMED_HOME") if isinstance(document, dict) else None
        if before and os.path.realpath(before) != os.path.realpath(home):
            found.append((key, document, str(before)))
    return found


def _column(connection: sqlite3.Connection) -> str:
    there = {row[1] for row in connection.execute("PRAGMA table_info(deployment)")}
    return next(name for name in COLUMNS if name in there) if there & set(COLUMNS) else "job_variables"


def _renamed(value: Any, before: str, home: str) -> Any:
    """The same document, with every path in the one home in the other."""
    if isinstance(value, dict):
        return {key: _renamed(one, before, home) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, before, home) for one in value]
    if isinstance(value, str) and (value == before or value.startswith(f"{before}/")):
        return home + value[len(before) :]
    return value
