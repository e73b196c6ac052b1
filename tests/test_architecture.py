"""Architecture: a room imports only from floors below its own, and only some rooms import the heavy packages.

`docs/architecture.md` shows these tables; `python docs/architecture.py` writes it.
"""

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from support.checkout import ROOT, modules

FLOORS = [
    ["errors"],
    ["volume", "labels", "batch", "home"],
    ["files", "processes"],
    ["spec"],
    ["records"],
    ["run"],
    ["io", "metrics", "stats"],
    ["deidentify"],
    ["cohort"],
    ["prepare"],
    ["networks", "phantom"],
    ["rendering"],
    ["tasks"],
    ["methods"],
    ["model"],
    ["evaluate"],
    ["select"],
    ["train"],
    ["html"],
    ["report"],
    ["registry", "comparison", "monitor"],
    ["console", "predict"],
    ["app"],
    ["server"],
    ["xmed_pipelines"],
    ["cli"],
]
"""From the lowest floor up. Rooms of one floor do not import each other."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
TENSORS = {
    "batch", "prepare", "networks", "rendering", "tasks", "methods", "model", "evaluate", "select", "train", "registry",
}  # fmt: skip
DOORS = {
    "prefect": {"xmed_pipelines", "server"},
    "typer": {"cli"},
    "mlflow": {"registry"},
    "fsspec": {"app"},
    "prefect_dask": {"xmed_pipelines"},
    "distributed": {"xmed_pipelines"},
    "pydicom": {"io", "deidentify"},  # deidentify builds data sets from data sets; a Volume would not do
    "highdicom": {"io"},
    "pynetdicom": {"io"},
    "dicomweb_client": {"io"},
    "nibabel": {"io", "deidentify"},
    "SimpleITK": {"io", "prepare"},
    "torch": TENSORS,
    "monai": TENSORS,
}
"""Package -> the rooms that may import it."""
OLD_NAMES = {"predict"}
"""Modules that stay because scripts, and models registered by version 0.1.0, import them."""


def room_of(path: Path) -> str | None:
    """The room of a file; None for the front door, which stands above all of them."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return None if parts == ("xmed", "__init__") else parts[1]  # pipelines/xmed_pipelines, xmed/<room>


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, whole name of the module) of everything that a file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole module name"
            whole = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "xmed" else [node.module]
            names += [(node.lineno, name) for name in whole]
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_floors_below(path):
    room = room_of(path)
    if room is None:
        return
    for line, name in imports(path):
        parts = name.split(".")
        other = (
            parts[0] if parts[0] == "xmed_pipelines" else parts[1] if parts[0] == "xmed" and len(parts) > 1 else None
        )
        if other is None or other == room or other not in FLOOR:
            continue
        assert FLOOR[other] < FLOOR[room], (
            f"{path}:{line}: {room} (floor {FLOOR[room]}) imports {other} ({FLOOR[other]})"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_its_rooms_open_a_door(path):
    for line, name in imports(path):
        rooms = DOORS.get(name.split(".")[0])
        assert rooms is None or room_of(path) in rooms, f"{path}:{line}: {name} may be imported only in {sorted(rooms)}"


def test_no_module_leads_back_to_itself():
    # A package's __init__ re-exports what lies below it; that its modules import from it is no circle of theirs.
    plain = [path for path in modules() if path.name != "__init__.py"]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("pipelines.") for path in plain}
    needs = {name: {imported for _, imported in imports(path)} & set(names.values()) for path, name in names.items()}
    TopologicalSorter(needs).prepare()  # CycleError names the circle


def test_every_room_stands_on_a_floor():
    rooms = {room_of(path) for path in modules()} - {None}
    assert rooms <= set(FLOOR), f"rooms without a floor: {sorted(rooms - set(FLOOR))}"


def test_no_module_is_a_drawer_for_odds_and_ends():
    names = {path.stem for path in modules()}
    assert not names & {"utils", "util", "common", "helpers", "misc", "tools"}


REPEATED = {"xmed/report/sections": ("compute", "figure")}
"""Folder -> file names that each of its subfolders may have: a section of the report is a folder."""


def is_repeated(path: Path) -> bool:
    """Whether a module has one of the file names that are the same in every sibling folder."""
    return path.stem in REPEATED.get(path.parent.parent.relative_to(ROOT).as_posix(), ())


def test_no_module_name_occurs_twice():
    counts = Counter(
        path.parent.name if path.name == "__init__.py" else path.stem for path in modules() if not is_repeated(path)
    )
    assert [name for name, count in counts.items() if count > 1 and name not in OLD_NAMES] == []


def test_no_public_class_name_occurs_twice():
    counts = Counter(
        node.name
        for path in modules()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in counts.items() if count > 1] == []
