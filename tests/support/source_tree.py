"""The source of the checkout as syntax trees: modules by name, what each imports, and what rooms take from each other."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

from support.checkout import ROOT, modules

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: Path) -> str:
    """The importable name of a file: xmed.io.links, xmed_pipelines.adapt_flow."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removeprefix("pipelines.").removesuffix(".__init__")


TREES: dict[str, ast.Module] = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in modules()}
"""The syntax tree of each module of the library and of the flows."""


def room(module: str) -> str:
    """The room of a module: `io` of xmed.io.links, `xmed_pipelines` of its modules, and "" for the front door."""
    parts = module.split(".")
    return parts[0] if parts[0] == "xmed_pipelines" else parts[1] if len(parts) > 1 else ""


@cache
def imported(module: str) -> dict[str, tuple[str, str]]:
    """Local name -> (module, name there; "" when the module itself was imported) of what is imported from the project."""
    names = {}
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("xmed", "xmed_pipelines"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names[alias.asname or alias.name] = (whole, "") if whole in TREES else (node.module, alias.name)
    return names


def defined(module: str, name: str) -> tuple[str, str]:
    """Where a name is defined, through the faces of packages."""
    while module in TREES and (again := imported(module).get(name)) and again[1] and again != (module, name):
        module, name = again
    return module, name


def taken(module: str) -> set[tuple[str, str]]:
    """(module, name) of all that a module imports, or reaches as an attribute of an imported module."""
    names = imported(module)
    wanted = {target for target in names.values() if target[1]}
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            place, name = names.get(node.value.id, ("", "module of another package"))
            if not name:
                wanted.add((place, node.attr))
    return {defined(*target) for target in wanted}


@cache
def takers() -> dict[tuple[str, str], set[str]]:
    """(module, name) of everything that other modules take from a module -> those modules."""
    out = defaultdict(set)
    for module in TREES:
        for origin in taken(module):
            if origin[0] != module:
                out[origin].add(module)
    return dict(out)


@cache
def shared_between_rooms() -> set[tuple[str, str]]:
    """(module, function or class) of everything that a room takes from another room."""
    return {origin for origin, users in takers().items() if any(room(user) != room(origin[0]) for user in users)}


def definition(module: str, name: str) -> ast.ClassDef | Function | None:
    """The class or function of that name in a module, None for anything else."""
    for node in TREES[module].body if module in TREES else ():
        if isinstance(node, ast.ClassDef | Function) and node.name == name:
            return node
    return None


def functions_between_rooms() -> list[tuple[str, Function]]:
    """(module.function or module.Class.method, its tree) of what rooms call of each other; only public methods."""
    out: list[tuple[str, Function]] = []
    for module, name in sorted(shared_between_rooms()):
        node = definition(module, name)
        if isinstance(node, Function):
            out.append((f"{module}.{name}", node))
        elif node is not None:
            methods = [one for one in node.body if isinstance(one, Function) and not one.name.startswith("_")]
            out += [(f"{module}.{name}.{method.name}", method) for method in methods]
    return out


def parameters(function: Function) -> list[ast.arg]:
    """The parameters of a function or method, without self and cls."""
    listed = function.args
    every = [*listed.posonlyargs, *listed.args, listed.vararg, *listed.kwonlyargs, listed.kwarg]
    return [each for each in every if each is not None and each.arg not in ("self", "cls")]
