"""Adaptation methods by name. Listing them and reading their facts does not load torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xmed.methods.facts import facts
from xmed.methods.lookup import check_hyperparameters, find, hyperparameters, names, needs, require_known
from xmed.methods.without_training import BASELINES, COMPOSITIONS

if TYPE_CHECKING:
    from xmed.methods.method import Domains, Method, Schedule


def __getattr__(name: str) -> Any:
    """Import the classes that need torch when one of them is used first."""
    if name not in ("Domains", "Method", "Schedule"):
        raise AttributeError(name)
    return getattr(importlib.import_module("xmed.methods.method"), name)


__all__ = [
    "BASELINES",
    "COMPOSITIONS",
    "Domains",
    "Method",
    "Schedule",
    "check_hyperparameters",
    "facts",
    "find",
    "hyperparameters",
    "names",
    "needs",
    "require_known",
]  # fmt: skip
