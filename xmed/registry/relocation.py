"""Corrects the registry of a home that was moved or copied.

MLflow writes the place of every artifact as an absolute URI into its database. In a moved home these lead nowhere; in a
copy they lead into the original home, which the copy must not write to. They are corrected before they are used.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.uri import folder_uri, path_of, read_only_uri

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"


def elsewhere(home: Path) -> list[Path]:
    """List other homes that the embedded registry of this home says its artifacts lie in.

    Args:
        home: The home.

    Returns:
        Their folders, sorted; none where the registry names this home alone.
    """
    database = home / DATABASE
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=30)) as connection:
            rows = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    except sqlite3.Error:  # damaged, or not made yet: others say so
        return []
    places = [place for (uri,) in rows if uri and (place := path_of(str(uri))) and place.name == ARTIFACTS]
    return sorted({place.parent for place in places if not _is_same_folder(place.parent, home)})


def relocate(home: Path) -> list[Path]:
    """Make the embedded registry name this home where it names others.

    Args:
        home: The home.

    Returns:
        The folders that it named before.

    Raises:
        XmedError: NOT_WRITABLE, BUSY.
    """
    old_homes = elsewhere(home)
    for before in old_homes:
        try:
            rewrite(home / DATABASE, before, home)
        except sqlite3.OperationalError as problem:
            what = f"{home / DATABASE} still names {before}, and cannot be changed: {problem}"
            raise XmedError(
                "NOT_WRITABLE", what, "a home of one's own", "give it to this account, or copy it"
            ) from problem
    return old_homes


def rewrite(database: Path, before: Path, home: Path) -> None:
    """Replace a home's path at the beginning of every text of a SQLite database; in one transaction.

    Args:
        database: The database.
        before: The old home.
        home: The new home.
    """
    pairs = {f"{folder_uri(before)}/": f"{folder_uri(home)}/", f"file://{before}/": f"{folder_uri(home)}/"}
    pairs[f"{before}/"] = f"{home}/"
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            of = _quoted(table)
            columns = [(_quoted(row[1]), row[2]) for row in connection.execute(f"PRAGMA table_info({of})")]
            for column in [name for name, kind in columns if kind.upper().startswith(("VARCHAR", "TEXT"))]:
                for old, new in pairs.items():
                    begins = f"WHERE substr({column}, 1, ?) = ?"
                    change = f"UPDATE {of} SET {column} = ? || substr({column}, ?) {begins}"
                    connection.execute(change, (new, len(old) + 1, len(old), old))


def _quoted(name: str) -> str:
    """A name as SQLite takes it, whatever signs it has."""
    return '"' + name.replace('"', '""') + '"'


def _is_same_folder(first: Path, second: Path) -> bool:
    """Whether two paths lead to the same folder, also through links."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return first == second
