"""Typed documents: rooms pass records to each other, not free dictionaries; and every document of a run is a record."""

import ast
from functools import cache

from support.source_tree import TREES, Function, defined, definition, imported, parameters, shared_between_rooms

FREE = ("dict[str, Any]", "Mapping[str, Any]")


def aliases(module: str) -> set[str]:
    """Names of a module that stand for free dictionaries, its own and imported ones."""
    own = {ast.unparse(node.targets[0]) for node in TREES[module].body if isinstance(node, ast.Assign)}
    return {name for name in own | set(imported(module)) if is_alias(*defined(module, name))}


@cache
def is_alias(module: str, name: str) -> bool:
    body = TREES[module].body if module in TREES else []
    assigned = [node for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name]
    return any(ast.unparse(node.value) in FREE for node in assigned)


def is_free(annotation: ast.expr | None, known: set[str]) -> bool:
    if annotation is None:
        return False
    text = ast.unparse(annotation).strip("'\"")
    return any(free in text for free in FREE) or any(
        isinstance(node, ast.Name) and node.id in known for node in ast.walk(annotation)
    )


def free_signatures() -> list[str]:
    """room.module.function of every function, or public method of a class, that rooms pass free dictionaries through."""
    out = set()
    for module, name in shared_between_rooms():
        node = definition(module, name)
        if node is None:
            continue
        known = aliases(module)
        functions = [node] if isinstance(node, Function) else []
        if isinstance(node, ast.ClassDef):
            functions = [part for part in node.body if isinstance(part, Function) and not part.name.startswith("_")]
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
            out |= {f"{module}.{name}.{ast.unparse(f.target)}" for f in fields if is_free(f.annotation, known)}
        for function in functions:
            annotations = [*(each.annotation for each in parameters(function)), function.returns]
            if any(is_free(annotation, known) for annotation in annotations):
                out.add(f"{module}.{name}" + (f".{function.name}" if function is not node else ""))
    return sorted(out)


def test_rooms_pass_records_and_not_free_dictionaries():
    assert free_signatures() == []


def test_a_free_dictionary_is_seen():
    annotation = ast.parse("def f(x: list[dict[str, Any]]): ...").body[0].args.args[0].annotation
    assert is_free(annotation, set())
    assert is_free(ast.parse("def f(x: Row): ...").body[0].args.args[0].annotation, {"Row"})
    assert not is_free(ast.parse("def f(x: dict[str, int]): ...").body[0].args.args[0].annotation, set())
