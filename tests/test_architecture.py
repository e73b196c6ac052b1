"""The house: rooms import only from floors below, and only some may open a door to a heavy package."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [
    [
        *("errors", "volume", "labels", "batch", "atomic", "digest", "documents", "archives", "nulls", "stop"),
        *("tied", "uri", "watcher", "private", "relocation"),
    ],
    ["spec"],
    ["io", "run", "seal"],
    ["deidentify", "audit", "share"],
    ["cohort", "prepare"],
    ["nets", "appearance", "metrics", "stats", "phantom", "domain", "position"],
    ["tasks", "translate"],
    ["methods", "model"],
    ["train", "predict", "evaluate", "select"],
    ["report", "registry", "monitor", "compare", "bundle"],
    ["pipelines"],
]
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
SAME_FLOOR = {
    ("volume", "errors"), ("labels", "errors"), ("private", "errors"), ("atomic", "private"), ("relocation", "errors"), ("relocation", "uri"), ("documents", "errors"), ("archives", "errors"),  # errors is the ground the nouns stand on
    ("train", "select"),  # the one loop keeps the checkpoint that the label-free guards chose
    ("select", "predict"),  # what is chosen among must predict as it will when it is deployed
    ("compare", "report"),  # a comparison is completed, averaged and drawn as a report is
    ("registry", "report"),  # the gate recomputes a report before it believes it
    ("monitor", "report"),  # what the report calls a failure is one here, and a check is drawn as a report is
    ("evaluate", "predict"),  # judging needs predictions on the scanner's own grid
}  # fmt: skip
TENSORS = {
    "batch", "prepare", "appearance", "nets", "tasks", "translate", "methods", "model", "train", "predict", "select",
    "registry", "bundle",
}  # fmt: skip
DOORS = {
    "prefect": {"pipelines"},
    "typer": {"pipelines"},
    "mlflow": {"registry"},
    "fsspec": {"share"},
    "prefect_dask": {"pipelines"},
    "distributed": {"pipelines"},
    "pydicom": {"io", "deidentify"},  # deidentify builds data sets from data sets; a Volume would not do
    "highdicom": {"io"},
    "pynetdicom": {"io"},
    "dicomweb_client": {"io"},
    "nibabel": {"io", "deidentify"},
    "SimpleITK": {"io", "prepare"},
    "torch": TENSORS,
    "monai": TENSORS,
}


def room_of(path: Path) -> str | None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "pipelines":
        return "pipelines"
    return None if parts == ("xmed", "__init__") else parts[1]


def modules() -> list[Path]:
    return sorted([*ROOT.glob("xmed/**/*.py"), *ROOT.glob("pipelines/**/*.py")])


def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole module name"
            whole = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "xmed" else [node.module]
            found += [(node.lineno, name) for name in whole]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_floors_below(path):
    room = room_of(path)
    if room is None:
        return
    for line, name in imports(path):
        parts = name.split(".")
        other = "pipelines" if parts[0] == "pipelines" else parts[1] if parts[0] == "xmed" and len(parts) > 1 else None
        if other is None or other == room or other not in FLOOR or (room, other) in SAME_FLOOR:
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
    # A package's face gathers what lies below it; that its modules import from it is no circle of theirs.
    plain = [path for path in modules() if path.name != "__init__.py"]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in plain}
    needs = {name: {one for _, one in imports(path)} & set(names.values()) for path, name in names.items()}
    TopologicalSorter(needs).prepare()  # CycleError names the circle


def test_every_room_stands_on_a_floor():
    rooms = {room_of(path) for path in modules()} - {None}
    assert rooms <= set(FLOOR), f"rooms without a floor: {sorted(rooms - set(FLOOR))}"


def test_no_module_is_a_drawer_for_odds_and_ends():
    names = {path.stem for path in modules()}
    assert not names & {"utils", "util", "common", "helpers", "misc", "tools"}
