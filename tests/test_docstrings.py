"""What rooms call of each other says what it takes and what it gives back, in Google's style of docstring."""

import ast
import re

import pytest

from support.source_tree import Function, functions_between_rooms, parameters, room

FUNCTIONS = [
    (name, function)
    for name, function in functions_between_rooms()
    if not any(ast.unparse(decorator) == "overload" for decorator in function.decorator_list)
]


def lacks(function: Function) -> list[str]:
    """What the docstring of a function does not tell."""
    text = ast.get_docstring(function) or ""
    if not text:
        return ["docstring"]
    listed = text.partition("Args:")[2]
    missing = [each.arg for each in parameters(function) if not re.search(rf"^\s+\**{each.arg}:", listed, re.MULTILINE)]
    gives = function.returns is not None and ast.unparse(function.returns) not in ("None", "NoReturn", "Never")
    is_property = any("property" in ast.unparse(decorator) for decorator in function.decorator_list)
    if gives and not is_property and not re.search(r"^(Returns|Yields):", text, re.MULTILINE):
        missing.append("Returns")
    return missing


@pytest.mark.parametrize("where", sorted({room(name) for name, _ in FUNCTIONS}))
def test_docstrings_of_a_room_list_arguments_and_results(where):
    incomplete = {name: missing for name, function in FUNCTIONS if room(name) == where and (missing := lacks(function))}
    assert incomplete == {}


def test_an_argument_that_is_not_described_is_seen():
    source = 'def mean(values: list[float]) -> float:\n    """Mean of numbers."""\n'
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert lacks(function) == ["values", "Returns"]
