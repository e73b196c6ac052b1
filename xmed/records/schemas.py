"""Schemas: JSON Schema of every record that is a whole document."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from pydantic import BaseModel

import xmed.records as records

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def kinds() -> dict[str, type[BaseModel]]:
    """File name -> its record, sorted by name. A record is found by its FILE: adding one edits no list."""
    found: dict[str, type[BaseModel]] = {}
    for module in pkgutil.iter_modules(records.__path__):
        for value in vars(importlib.import_module(f"{records.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and getattr(value, "FILE", ""):
                found[value.FILE] = value  # type: ignore[attr-defined]  # a ClassVar of both bases
    return dict(sorted(found.items()))


def schemas() -> dict[str, dict[str, Any]]:
    """File name -> JSON Schema (2020-12), with unit and meaning of each field in its description."""
    return {name: {"$schema": DIALECT, **kind.model_json_schema(by_alias=True)} for name, kind in kinds().items()}
