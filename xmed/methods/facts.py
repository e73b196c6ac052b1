"""Facts: what a method's file says of its class, read as text, so that whoever asks need not wait for torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

BASE = "method"
"""The file of the class that every method is made of, and what it does not say itself is taken from."""
GIVEN = 3
"""Arguments of every constructor that no study sets: self, net and task."""


@dataclass(frozen=True)
class Facts:
    """does: the first line of its docstring. cite: the paper. start: the method whose finished training it begins with.

    hyperparameters: their names, in the order of the constructor. target_labels: see `Method`.
    """

    does: str
    cite: str
    start: str | None
    target_labels: str
    hyperparameters: tuple[str, ...]


@cache
def facts(name: str) -> Facts:
    """What `xmed/methods/<name>.py` says of the one class of it that is made of Method.

    The house test holds every method's facts against its class.
    """
    (made,) = [one for one in _classes(name) if any(getattr(base, "id", None) == "Method" for base in one.bases)]
    (base,) = [one for one in _classes(BASE) if one.name == "Method"]
    chosen = {**_assigned(base), **_assigned(made)}
    start = next((word.value for word in getattr(chosen["schedule"], "keywords", ()) if word.arg == "start"), None)
    return Facts(
        does=(ast.get_docstring(made) or "").strip().splitlines()[0],
        cite=ast.literal_eval(chosen["cite"]),
        start=None if start is None else ast.literal_eval(start),
        target_labels=ast.literal_eval(chosen["target_labels"]),
        hyperparameters=_arguments(made) or _arguments(base) or (),
    )


def _classes(name: str) -> Iterator[ast.ClassDef]:
    found = find_spec(f"xmed.methods.{name}")  # looked for where methods are, which may be several folders
    assert found is not None
    assert found.origin is not None
    text = Path(found.origin).read_text(encoding="utf-8")
    return (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))


def _assigned(made: ast.ClassDef) -> dict[str, ast.expr]:
    """The class's own attributes: name → the expression that it is set to."""
    found = {}
    for node in made.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def _arguments(made: ast.ClassDef) -> tuple[str, ...] | None:
    """What its constructor takes beside GIVEN; None for a class without one of its own."""
    for node in made.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return tuple(one.arg for one in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs][GIVEN:])
    return None
