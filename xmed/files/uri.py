"""Uri: paths as URIs, in one place: `?`, `#`, `%` and a colon mean something in a URI and nothing in a path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


def database_uri(path: Path, driver: str = "sqlite") -> str:
    """A SQLite file for SQLAlchemy, which takes what follows a `?` for options, and does not decode `%`.

    A name that is the same in both comes as it is; any other goes through SQLite's own URI (sqlite.org/uri.html), and
    with its driver named: of what follows `sqlite:///` MLflow makes a folder, in the folder it happens to be in.
    """
    place = path.absolute()
    if quote(str(place)) == str(place):
        return f"{driver}:///{place}"
    return f"{driver if '+' in driver else f'{driver}+pysqlite'}:///file:{quote(str(place))}?uri=true"


def read_only_uri(path: Path) -> str:
    """A SQLite file that is only read, for `sqlite3.connect(…, uri=True)`."""
    return f"{path.absolute().as_uri()}?mode=ro"


def folder_uri(path: Path) -> str:
    """A file or folder for MLflow, which decodes paths too, once, as if they were URIs."""
    return path.absolute().as_uri()


def path_of(uri: str) -> Path | None:
    """The path that a file URI, or a plain path, names; None for any other URI."""
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return Path(uri) if uri.startswith("/") else None
