"""Methods: one adaptation method is one file with one class; the folder is the registry."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from xmed.errors import XmedError
from xmed.methods.method import Method


def names() -> list[str]:
    """Every method, by the name of its file."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "method")


def find(name: str) -> type[Method]:
    """The one Method class that `xmed/methods/<name>.py` defines. Raises XmedError METHOD_UNKNOWN."""
    if name not in names():
        raise XmedError("METHOD_UNKNOWN", f"no method '{name}'", f"one of {', '.join(names())}", "see `xmed methods`")
    module = importlib.import_module(f"xmed.methods.{name}")
    (found,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    return found


def hyperparameters(name: str) -> dict[str, object]:
    """The hyper-parameters of a method with their defaults, in the order of its constructor."""
    parameters = list(inspect.signature(find(name).__init__).parameters.values())[3:]
    return {p.name: p.default for p in parameters}


def check(name: str, given: dict[str, object]) -> None:
    """Raises XmedError METHOD_UNKNOWN, or SPEC_INVALID for a hyper-parameter that the method does not have."""
    known = hyperparameters(name)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise XmedError(
            "SPEC_INVALID", f"method {name}: {', '.join(unknown)}", f"hyper-parameters {', '.join(known) or 'none'}"
        )


__all__ = ["Method", "check", "find", "hyperparameters", "names"]
