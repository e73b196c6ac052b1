"""Read what a method's file says of its class without importing it, since importing a method loads torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

BASE = "method"
"""The file of the base class `Method`, whose class attributes are the defaults."""
FIXED_ARGUMENTS = 3
"""Arguments of every method's constructor that no study sets: self, net and task."""


@dataclass(frozen=True)
class Facts:
    """What is known of a method from the text of its file.

    Attributes:
        does: First line of the class's docstring.
        cite: Citation.
        start: Name of the method whose finished training gives the first weights, if any.
        target_labels: "none", "few" or "all", see `Method`.
        favoured_by_validator: Name of the validator whose pictures the method trains on, see `Method`.
        hyperparameters: Names of the hyper-parameters, in the order of the constructor.
    """

    does: str
    cite: str
    start: str | None
    target_labels: str
    favoured_by_validator: str | None
    hyperparameters: tuple[str, ...]


@cache
def facts(name: str) -> Facts:
    """Return what `xmed/methods/<name>.py` says of its one class that derives from `Method`.

    A test compares the facts of every method with its imported class.

    Args:
        name: Name of a method, as `names` lists it.

    Returns:
        The facts.
    """
    (method_class,) = [node for node in _classes(name) if any(getattr(b, "id", None) == "Method" for b in node.bases)]
    (base_class,) = [node for node in _classes(BASE) if node.name == "Method"]
    attributes = {**_class_attributes(base_class), **_class_attributes(method_class)}
    keywords = getattr(attributes["schedule"], "keywords", ())
    start = next((keyword.value for keyword in keywords if keyword.arg == "start"), None)
    return Facts(
        does=(ast.get_docstring(method_class) or "").strip().splitlines()[0],
        cite=ast.literal_eval(attributes["cite"]),
        start=None if start is None else ast.literal_eval(start),
        target_labels=ast.literal_eval(attributes["target_labels"]),
        favoured_by_validator=ast.literal_eval(attributes["favoured_by_validator"]),
        hyperparameters=_constructor_arguments(method_class) or _constructor_arguments(base_class) or (),
    )


def _classes(name: str) -> Iterator[ast.ClassDef]:
    """Yield the syntax trees of the classes in a file of the package, wherever its search path finds that file."""
    spec = find_spec(f"xmed.methods.{name}")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    return (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))


def _class_attributes(class_node: ast.ClassDef) -> dict[str, ast.expr]:
    """Return the class attributes: name → the expression that it is set to."""
    attributes = {}
    for node in class_node.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            attributes[node.target.id] = node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            attributes[node.targets[0].id] = node.value
    return attributes


def _constructor_arguments(class_node: ast.ClassDef) -> tuple[str, ...] | None:
    """Return the constructor's arguments without the fixed ones; None for a class without a constructor."""
    for node in class_node.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            return tuple(argument.arg for argument in arguments[FIXED_ARGUMENTS:])
    return None
