"""Schedules of a home that was moved or copied: they still name the old folder, and are corrected."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from xmed.files.uri import read_only_uri
from xmed.home import Home

COLUMNS = ("job_variables", "infra_overrides")
"""The column of a deployment's settings: the name in today's Prefect, and in older versions."""


def schedules_elsewhere(home: Path) -> list[str]:
    """List other homes that schedules in this home's embedded database would work in."""
    database = Home(home).prefect_database
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=30)) as connection:
            return sorted({old_home for _, _, old_home in _misplaced(connection, home)})
    except sqlite3.Error:  # damaged, or not complete yet: the doctor reports it
        return []


def correct_schedules(home: Path) -> list[str]:
    """Make schedules that name another home work in this one; returns the homes that they named."""
    old_homes = schedules_elsewhere(home)
    if not old_homes:
        return []
    with closing(sqlite3.connect(Home(home).prefect_database, timeout=60)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        column = _settings_column(connection)
        for key, settings, old_home in list(_misplaced(connection, home)):
            text = json.dumps(_with_paths_moved(settings, old_home, str(home)))
            connection.execute(f"UPDATE deployment SET {column} = ? WHERE id = ?", (text, key))
    return old_homes


def _misplaced(connection: sqlite3.Connection, home: Path) -> list[tuple[Any, dict[str, Any], str]]:
    """Id, settings and home of each deployment that works in another home."""
    column, rows = _settings_column(connection), []
    for key, text in connection.execute(f"SELECT id, {column} FROM deployment"):
        settings = json.loads(text or "{}")
        old_home = (settings.get("env") or {}).get("XMED_HOME") if isinstance(settings, dict) else None
        if old_home and os.path.realpath(old_home) != os.path.realpath(home):
            rows.append((key, settings, str(old_home)))
    return rows


def _settings_column(connection: sqlite3.Connection) -> str:
    columns = {row[1] for row in connection.execute("PRAGMA table_info(deployment)")}
    return next((name for name in COLUMNS if name in columns), COLUMNS[0])


def _with_paths_moved(value: Any, old_home: str, home: str) -> Any:
    """The same JSON value with every path below the old home moved to the new one."""
    if isinstance(value, dict):
        return {key: _with_paths_moved(item, old_home, home) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_paths_moved(item, old_home, home) for item in value]
    if isinstance(value, str) and (value == old_home or value.startswith(f"{old_home}/")):
        return home + value[len(old_home) :]
    return value
