"""One name, one meaning: no class or function that modules share is named like another one, and names say what they hold."""

import ast
from collections import Counter, defaultdict

import pytest

from support.source_tree import TREES, Function, room, takers

ROOMS = sorted({room(module) for module in TREES} - {""})
VAGUE = frozenset("asked found held kept known made mine one ours put said shown theirs there told wanted".split())  # noqa: SIM905
"""Words that say how a value came about, not what it is."""


def doubles(where: str) -> dict[str, list[str]]:
    """The names that a room shares and another module shares as well, or the room twice."""
    modules = defaultdict(list)
    for module, name in sorted(takers()):
        if any(
            getattr(node, "name", None) == name
            for node in TREES[module].body
            if isinstance(node, ast.ClassDef | Function)
        ):
            modules[name].append(module)
    return {name: at for name, at in modules.items() if len(at) > 1 and any(room(module) == where for module in at)}


def vague_names(where: str) -> Counter[str]:
    """`module: name` of variables and parameters of a room that do not say what they hold, with their number."""
    counts: Counter[str] = Counter()
    for module, tree in TREES.items():
        for node in ast.walk(tree) if room(module) == where else ():
            name = node.arg if isinstance(node, ast.arg) else node.id if isinstance(node, ast.Name) else ""
            if name in VAGUE and (isinstance(node, ast.arg) or isinstance(node.ctx, ast.Store)):
                counts[f"{module}: {name}"] += 1
    return counts


@pytest.mark.parametrize("where", ROOMS)
def test_no_class_or_function_that_a_room_shares_is_named_like_another(where):
    assert doubles(where) == {}


WRITTEN_IN_STUDIES = {"xmed.methods.pseudo_label: kept"}
"""Hyper-parameters that study files name: they keep their names."""


@pytest.mark.parametrize("where", ROOMS)
def test_names_of_variables_say_what_they_hold(where):
    assert set(vague_names(where)) <= WRITTEN_IN_STUDIES


def test_rooms_are_found():
    assert len(ROOMS) > 20
