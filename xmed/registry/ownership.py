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


def note_name(home: Path, name: str, package: str | None = None) -> None:
    """Write down that this home is about to make a model name, or a version of it.

    Args:
        home: The home.
        name: The registered model.
        package: package_sha256 of the version.
    """
    packages_by_name = _read(home)
    packages = packages_by_name.setdefault(name, [])
    if package and package not in packages:
        packages.append(package)
    write_atomically(home / FILE, json.dumps(packages_by_name, indent=1, sort_keys=True) + "\n")


def has_made_name(home: Path, name: str) -> bool:
    """Whether this home made a model name, or was about to."""
    return name in _read(home)


def has_made_package(home: Path, name: str, package: str | None) -> bool:
    """Whether this home made a version of a model name with this package_sha256."""
    return package in _read(home).get(name, [])


def _read(home: Path) -> dict[str, list[str]]:
    """Model name → package_sha256 of the versions that this home made, or was about to make."""
    try:
        document = documents.read_mapping(home / FILE)
    except XmedError:
        return {}
    return {
        name: [package for package in packages if isinstance(package, str)]
        for name, packages in document.items()
        if isinstance(packages, list)
    }
