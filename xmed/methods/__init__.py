"""Methods: one adaptation method is one file with one class; the folder is the registry."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

from xmed.errors import XmedError
from xmed.methods.baselines import BASELINES
from xmed.methods.composition import COMPOSITIONS
from xmed.methods.facts import facts
from xmed.spec import MethodSpec
from xmed.spec.validation_messages import did_you_mean

if TYPE_CHECKING:
    from xmed.methods.method import Domains, Method, Schedule

_NO_METHODS = frozenset({"method", "composition", "facts", "baselines"})


def __getattr__(name: str) -> Any:
    """The classes that need torch, imported by whoever asks for one of them."""
    if name not in ("Domains", "Method", "Schedule"):
        raise AttributeError(name)
    return getattr(importlib.import_module("xmed.methods.method"), name)


def names() -> list[str]:
    """Every method, by the name of its file."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NO_METHODS)


def known(name: str) -> None:
    """Raises XmedError METHOD_UNKNOWN for a name that is no method's."""
    if name not in names():
        every = sorted([*names(), *COMPOSITIONS])
        what = f"no method '{name}'{did_you_mean(name, every)}"
        raise XmedError("METHOD_UNKNOWN", what, f"one of {', '.join(every)}", "see `xmed methods`")


def find(name: str) -> type[Method]:
    """The one Method class that `xmed/methods/<name>.py` defines. Raises XmedError METHOD_UNKNOWN."""
    known(name)
    from xmed.methods.method import Method

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
    known(spec.name)
    start = facts(spec.name).start
    return [start] if start else []


def check(name: str, given: dict[str, Any]) -> None:
    """Raises XmedError METHOD_UNKNOWN, or SPEC_INVALID for a hyper-parameter that the method does not have."""
    if name not in COMPOSITIONS:
        known(name)
    there = ("of",) if name in COMPOSITIONS else facts(name).hyperparameters
    unknown = sorted(set(given) - set(there))
    if unknown:
        said = ", ".join(one + did_you_mean(one, there) for one in unknown)
        raise XmedError("SPEC_INVALID", f"method {name}: {said}", f"hyper-parameters {', '.join(there) or 'none'}")
    for other in given.get("of", []) if name in COMPOSITIONS else []:
        known(other)
        if facts(other).target_labels == "all":
            raise XmedError("SPEC_INVALID", f"method {name} of {other}", "methods that can be deployed")


__all__ = [
    "BASELINES", "COMPOSITIONS", "Domains", "Method", "Schedule", "check", "facts", "find", "hyperparameters", "known",
    "names", "needs",
]  # fmt: skip
