"""Tests lie where what they test lies: tests/<room>/test_<module>.py for xmed/<room>/<module>.py."""

import ast
import re
from collections import Counter
from pathlib import Path

from support.checkout import ROOT

TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
KINDS = TESTS / "kinds"
"""Faults that were found from outside, ordered by kind of fault; they concern several rooms each."""


def modules_of_tests() -> list[Path]:
    return sorted(TESTS.rglob("test_*.py"))


def room_of(path: Path) -> Path:
    """The folder of the library that a test module belongs to."""
    inside = path.parent.relative_to(TESTS)
    return ROOT / "pipelines" / inside if inside.parts[0] == "xmed_pipelines" else ROOT / "xmed" / inside


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_a_test_module_lies_in_the_room_that_it_tests():
    lost = [
        str(path.relative_to(ROOT))
        for path in modules_of_tests()
        if path.parent not in (TESTS, KINDS) and not room_of(path).is_dir()
    ]
    assert lost == [], "move them to the folder that is named as the room"


def test_a_test_module_is_named_after_a_module_or_after_its_room():
    """`test_<module>.py`, or `test_<module>_<topic>.py` where one file would be too long."""
    lost = []
    for path in modules_of_tests():
        if path.parent in (TESTS, KINDS):
            continue
        names = {file.stem for file in room_of(path).glob("*.py")} | {room_of(path).name}
        subject = path.stem.removeprefix("test_")
        if not any(subject == name or subject.startswith(f"{name}_") for name in names):
            lost.append(str(path.relative_to(ROOT)))
    assert lost == [], "name them as the module that they test"


def test_no_two_test_modules_have_the_same_name():
    """pytest and the processes that tests start import a test module by its name alone."""
    counts = Counter(path.name for path in modules_of_tests())
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_test_module_imports_another_one():
    names = {path.stem for path in modules_of_tests()}
    for path in [*modules_of_tests(), *SUPPORT.rglob("*.py")]:
        assert not imported(path) & names, f"{path}: what several test modules share lies in tests/support"


def test_every_shared_helper_is_used():
    helpers = {path.stem: path for path in SUPPORT.iterdir() if path.suffix == ".py" or path.name == "corpus"}
    users = [*modules_of_tests(), *SUPPORT.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in users}  # scripts in strings import helpers, too
    for name, helper in helpers.items():
        pattern = re.compile(rf"\bsupport\.{name}\b|\bfrom support import {name}\b")
        assert name == "__init__" or any(pattern.search(text) for path, text in texts.items() if path != helper), name


def test_outside_of_rooms_and_kinds_there_are_only_single_modules_and_the_whole_house():
    """A test module directly in tests/ is about a room that is one file, or about the whole checkout."""
    whole = {
        "architecture", "corpus", "docstrings", "documentation", "fault_kinds", "fault_matrix", "front_door", "fuzz", "layout_of_tests", "leaks", "names",
        "old_home", "typed_documents",
    }  # fmt: skip
    single = {path.stem for path in (ROOT / "xmed").glob("*.py")}
    assert {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")} <= whole | single
