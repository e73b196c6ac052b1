"""Home: one object knows where everything lies that xmed writes."""

import re
from pathlib import Path

import pytest

from support.checkout import ROOT, modules
from xmed.home import Home

SPELLED = re.compile(r"""(?<!\bPath\.)\bhome(\(\))?\)? / ["']""")
"""A path below a home that is written out; the user's own folder, `Path.home()`, is no home of xmed."""


def spelled_paths(text: str) -> list[str]:
    """The lines of a source text that spell a path below a home."""
    return [line.strip() for line in text.splitlines() if SPELLED.search(line)]


def test_no_other_module_spells_a_path_below_a_home():
    others = [path for path in modules() if path != ROOT / "xmed" / "home.py"]
    spelled = {str(path): lines for path in others if (lines := spelled_paths(path.read_text(encoding="utf-8")))}
    assert spelled == {}, "ask xmed.home.Home, and add a property there where it has none"


@pytest.mark.parametrize(
    "line",
    [
        'path = home / "runs"',
        'log = home() / "logs" / name',
        'return self.home / "store" / "volumes"',
        'Path(home) / "models"',
        "f\"see {home / 'prefect'}\"",
    ],
)
def test_a_path_that_is_spelled_is_seen(line):
    assert spelled_paths(f"import os\n{line}\n") == [line]


def test_the_folder_of_the_user_and_properties_of_a_home_are_no_spelled_paths():
    assert spelled_paths('state = Path.home() / ".local"\nruns = Home(home).runs / "r"\n') == []


def test_every_path_of_a_home_lies_in_its_folder_and_has_a_name_of_its_own(tmp_path):
    names = [name for name, value in vars(Home).items() if isinstance(value, property)]
    paths = [getattr(Home(tmp_path), name) for name in names]
    assert len(paths) > 20
    assert all(path.is_relative_to(tmp_path) and path != tmp_path for path in paths)
    assert len(set(paths)) == len(paths)


def test_the_paths_of_a_home_are_where_earlier_versions_wrote_them():
    home = Home(Path("/h"))
    assert home.volumes == Path("/h/store/volumes")
    assert home.datasets == Path("/h/store/datasets")
    assert home.registry_database == Path("/h/mlflow.db")
    assert home.pseudonym_key == Path("/h/deidentify/key")
    assert home.prefect_database == Path("/h/prefect/prefect.db")
    assert home.stack_file == Path("/h/stack/stack.json")
