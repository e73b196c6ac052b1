"""Methods: one adaptation method is one file with one class; the folder is the registry."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from xmed.errors import XmedError
from xmed.methods.composition import COMPOSITIONS
from xmed.methods.method import Domains, Method, Schedule
from xmed.spec import MethodSpec


def names() -> list[str]:
    """Every method, by the name of its file."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in ("method", "composition"))


def find(name: str) -> type[Method]:
    """The one Method class that `xmed/methods/<name>.py` defines. Raises XmedError METHOD_UNKNOWN."""
    if name not in names():
        known = ", ".join(sorted([*names(), *COMPOSITIONS]))
        raise XmedError("METHOD_UNKNOWN", f"no method '{name}'", f"one of {known}", "see `xmed methods`")
    module = importlib.import_module(f"xmed.methods.{name}")
    (found,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    return found


def hyperparameters(name: str) -> dict[str, object]:
    """The hyper-parameters of a method with their defaults, in the order of its constructor."""
    if name in COMPOSITIONS:
        return {"of": list(COMPOSITIONS[name].of)}
    parameters = list(inspect.signature(find(name).__init__).parameters.values())[3:]
    return {p.name: p.default for p in parameters}


def needs(spec: MethodSpec) -> list[str]:
    """The methods whose finished training of the same seed this one begins with, or is made of."""
    if spec.name in COMPOSITIONS:
        of = spec.hyperparameters.get("of", COMPOSITIONS[spec.name].of)
        return list(dict.fromkeys(["source_only", *of] if spec.name == "auto" else of))
    start = find(spec.name).schedule.start
    return [start] if start else []


def check(name: str, given: dict[str, Any]) -> None:
    """Raises XmedError METHOD_UNKNOWN, or SPEC_INVALID for a hyper-parameter that the method does not have."""
    known = hyperparameters(name)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise XmedError(
            "SPEC_INVALID", f"method {name}: {', '.join(unknown)}", f"hyper-parameters {', '.join(known) or 'none'}"
        )
    for other in given.get("of", []) if name in COMPOSITIONS else []:
        if find(other).target_labels == "all":
            raise XmedError("SPEC_INVALID", f"method {name} of {other}", "methods that can be deployed")


__all__ = ["COMPOSITIONS", "Domains", "Method", "Schedule", "check", "find", "hyperparameters", "names", "needs"]
