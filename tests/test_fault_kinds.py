"""Every kind of fault that was found from outside has inputs, and every module of inputs belongs to a kind."""

import ast

import pytest

from support.fault_kinds import FOLDER, KINDS, modules


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_kind_has_a_module_of_inputs(kind):
    tests = [
        f for path in modules(kind) for f in ast.walk(ast.parse(path.read_text())) if isinstance(f, ast.FunctionDef)
    ]
    assert any(f.name.startswith("test_") for f in tests)


def test_every_module_of_inputs_belongs_to_a_kind():
    assert {path for kind in KINDS for path in modules(kind)} == set(FOLDER.glob("test_*.py"))
