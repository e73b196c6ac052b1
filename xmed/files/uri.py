"""URI: converts paths to URIs, in which `?`, `#`, `%` and a colon have a meaning that they do not have in a path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


def database_uri(path: Path, driver: str = "sqlite") -> str:
    """The URI of a SQLite file for SQLAlchemy, which reads options after a `?` and does not decode `%`.

    A path without special characters is used as it is. Any other becomes SQLite's own URI (sqlite.org/uri.html) with
    the driver named, because MLflow creates a folder from what follows a plain `sqlite:///`.

    Args:
        path: The file.
        driver: SQLAlchemy's name of database and driver.

    Returns:
        The URI.
    """
    place = path.absolute()
    if quote(str(place)) == str(place):
        return f"{driver}:///{place}"
    return f"{driver if '+' in driver else f'{driver}+pysqlite'}:///file:{quote(str(place))}?uri=true"


def read_only_uri(path: Path) -> str:
    """The URI of a SQLite file to open read-only with `sqlite3.connect(…, uri=True)`.

    Args:
        path: The file.

    Returns:
        The URI.
    """
    return f"{path.absolute().as_uri()}?mode=ro"


def folder_uri(path: Path) -> str:
    """The URI of a file or folder for MLflow, which decodes even plain paths as if they were URIs.

    Args:
        path: The file or folder.

    Returns:
        The URI.
    """
    return path.absolute().as_uri()


def path_of(uri: str) -> Path | None:
    """The path that a URI names.

    Args:
        uri: A URI, or a plain absolute path.

    Returns:
        The path; None for a URI that names no file.
    """
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return Path(uri) if uri.startswith("/") else None
