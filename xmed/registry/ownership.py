"""Which names and packages this home put into the registry, written down before it does so.

A process may be killed between the registry and the audit log. This file, which nobody can reach through MLflow, tells
what such a process left from what others put there.
"""

from __future__ import annotations

import json
from pathlib import Path

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically

FILE = "registry.made.json"


def note(home: Path, name: str, package: str | None = None) -> None:
    """Write down that this home is about to make a name, or a version of it with this package_sha256."""
    found = _read(home)
    mine = found.setdefault(name, [])
    if package and package not in mine:
        mine.append(package)
    write_atomically(home / FILE, json.dumps(found, indent=1, sort_keys=True) + "\n")


def names(home: Path, name: str) -> bool:
    """Whether this home made a name, or was about to."""
    return name in _read(home)


def packed(home: Path, name: str, package: str | None) -> bool:
    """Whether this home made a version of a name with this package_sha256."""
    return package in _read(home).get(name, [])


def _read(home: Path) -> dict[str, list[str]]:
    try:
        found = documents.read_mapping(home / FILE)
    except XmedError:
        return {}
    return {name: packages for name, packages in found.items() if isinstance(packages, list)}
