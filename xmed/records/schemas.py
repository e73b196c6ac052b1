"""Schemas: JSON Schema of every record that is a whole document."""

from __future__ import annotations

import importlib
import pkgutil

from pydantic import JsonValue

import xmed.records as records
from xmed.records.record import Stored

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def kinds() -> dict[str, type[Stored]]:
    """File name -> its record, sorted by name. A record is found by its FILE: adding one edits no list."""
    by_file: dict[str, type[Stored]] = {}
    for module in pkgutil.iter_modules(records.__path__):
        for value in vars(importlib.import_module(f"{records.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Stored) and value.FILE:
                by_file[value.FILE] = value
    return dict(sorted(by_file.items()))


def schemas() -> dict[str, dict[str, JsonValue]]:
    """Describe every record that is a whole document.

    Returns:
        File name -> JSON Schema (2020-12), with unit and meaning of each field in its description.
    """
    return {name: {"$schema": DIALECT, **kind.model_json_schema(by_alias=True)} for name, kind in kinds().items()}
