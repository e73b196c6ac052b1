"""One name, one meaning: no class or function that modules share is named like another one."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLEAN = ["io"]
"""Rooms whose names are their own. Add a room here once its test passes."""


def module_name(path: Path) -> str:
    """The importable name of a file: xmed.io.links, xmed_pipelines.adapt_flow."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removeprefix("pipelines.").removesuffix(".__init__")


TREES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted([*ROOT.glob("xmed/**/*.py"), *ROOT.glob("pipelines/**/*.py")])
}


def defined() -> dict[str, list[str]]:
    """For each public class and function its modules."""
    modules: dict[str, list[str]] = defaultdict(list)
    for module, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                modules[node.name].append(module)
    return modules


def used(module: str, tree: ast.Module) -> set[tuple[str, str]]:
    """(where it is taken from, name) of all that a module imports, or reaches through an imported module."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = {(str(node.module), alias.name) for node in imports for alias in node.names if node.module != module}
    aliases = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            names.add((aliases[node.value.id], node.attr))
    return names


USED = set().union(*(used(module, tree) for module, tree in TREES.items()))


def is_shared(module: str, name: str) -> bool:
    """Whether another module takes the name from this one, or from a package that passes it on."""
    parts = module.split(".")
    return any((".".join(parts[:n]), name) in USED for n in range(2, len(parts) + 1))


def doubles(room: str) -> dict[str, list[str]]:
    """The names that a room shares and another module shares as well, or the room twice."""
    doubled = {}
    for name, modules in defined().items():
        shared = [module for module in modules if is_shared(module, name)]
        if len(shared) > 1 and any(module.split(".")[1:2] == [room] for module in shared):
            doubled[name] = shared
    return doubled


@pytest.mark.parametrize("room", CLEAN)
def test_no_class_or_function_that_a_room_shares_is_named_like_another(room):
    assert doubles(room) == {}


@pytest.mark.parametrize("room", CLEAN)
def test_a_clean_room_is_there(room):
    assert any(module.split(".")[1:2] == [room] for module in TREES)


if __name__ == "__main__":  # for whoever cleans the next room
    for room in sorted({module.split(".")[1] for module in TREES if module.count(".") > 1}):
        for name, modules in sorted(doubles(room).items()):
            sys.stdout.write(f"{room}: {name} in {', '.join(modules)}\n")
