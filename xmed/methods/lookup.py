"""Find a method by name. One method is one file with one class; the folder is the registry."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

import xmed.methods
from xmed.errors import XmedError
from xmed.methods.facts import FIXED_ARGUMENTS, facts
from xmed.methods.without_training import COMPOSITIONS

if TYPE_CHECKING:
    from xmed.methods.method import Method
    from xmed.spec import MethodSpec

_NO_METHODS = frozenset({"method", "lookup", "facts", "without_training"})


def names() -> list[str]:
    """List the names of the methods.

    Returns:
        The name of every method, which is the name of its file, in alphabetical order.
    """
    return sorted(m.name for m in pkgutil.iter_modules(xmed.methods.__path__) if m.name not in _NO_METHODS)


def require_known(name: str) -> None:
    """Refuse a name that is no method's.

    Args:
        name: The name.

    Raises:
        XmedError: METHOD_UNKNOWN, with the most similar name where there is one.
    """
    if name not in names():
        from xmed.spec.strict import did_you_mean  # light commands read no spec

        every_name = sorted([*names(), *COMPOSITIONS])
        what = f"no method '{name}'{did_you_mean(name, every_name)}"
        raise XmedError("METHOD_UNKNOWN", what, f"one of {', '.join(every_name)}", "see `xmed methods`")


def find(name: str) -> type[Method]:
    """Find the class of a method. This loads torch.

    Args:
        name: Name of a method.

    Returns:
        The one `Method` class that `xmed/methods/<name>.py` defines.

    Raises:
        XmedError: METHOD_UNKNOWN.
    """
    require_known(name)
    from xmed.methods.method import Method

    module = importlib.import_module(f"xmed.methods.{name}")
    (method_class,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    return method_class


def hyperparameters(name: str) -> dict[str, object]:
    """List the hyper-parameters of a method or composition.

    Args:
        name: Name of a method or composition.

    Returns:
        Name → default, in the constructor's order.

    Raises:
        XmedError: METHOD_UNKNOWN.
    """
    if name in COMPOSITIONS:
        return {"of": list(COMPOSITIONS[name].of)}
    parameters = list(inspect.signature(find(name).__init__).parameters.values())[FIXED_ARGUMENTS:]
    return {p.name: p.default for p in parameters}


def needs(spec: MethodSpec) -> list[str]:
    """Return the methods that must be trained first, with the same seed.

    These are the method whose weights this one starts from, or the methods that a composition is made of.

    Args:
        spec: The method or composition, with the hyper-parameters that a study sets.

    Returns:
        Names of methods, each once.

    Raises:
        XmedError: METHOD_UNKNOWN; SPEC_INVALID where the members of a composition are no list of names.
    """
    if spec.name in COMPOSITIONS:
        return list(dict.fromkeys([*COMPOSITIONS[spec.name].first, *_members(spec)]))
    require_known(spec.name)
    start = facts(spec.name).start
    return [start] if start else []


def check_hyperparameters(spec: MethodSpec) -> None:
    """Refuse an unknown method and hyper-parameters that it does not have.

    Args:
        spec: The method or composition, with the hyper-parameters that a study sets.

    Raises:
        XmedError: METHOD_UNKNOWN; SPEC_INVALID for a hyper-parameter that the method does not have, for a composition
            of a method that uses all target labels, or for members of a composition that are no list of names.
    """
    name = spec.name
    if name not in COMPOSITIONS:
        require_known(name)
    allowed = ("of",) if name in COMPOSITIONS else facts(name).hyperparameters
    unknown = sorted(set(spec.hyperparameters) - set(allowed))
    if unknown:
        from xmed.spec.strict import did_you_mean

        listed = ", ".join(parameter + did_you_mean(parameter, allowed) for parameter in unknown)
        raise XmedError("SPEC_INVALID", f"method {name}: {listed}", f"hyper-parameters {', '.join(allowed) or 'none'}")
    for member in _members(spec) if name in COMPOSITIONS else []:
        require_known(member)
        if facts(member).target_labels == "all":
            raise XmedError("SPEC_INVALID", f"method {name} of {member}", "methods that can be deployed")


def _members(spec: MethodSpec) -> list[str]:
    """Return the names of the methods that a composition is made of: its own, or those that a study names.

    Raises:
        XmedError: SPEC_INVALID where the study gives something else than a list of names.
    """
    members = spec.hyperparameters.get("of", COMPOSITIONS[spec.name].of)
    if not isinstance(members, list | tuple) or not all(isinstance(member, str) for member in members):
        raise XmedError("SPEC_INVALID", f"method {spec.name}: of: {members}", "a list of methods", "see `xmed methods`")
    return [str(member) for member in members]
