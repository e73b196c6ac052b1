"""A home is closed to other accounts, whatever it contains so far; a folder that is no home keeps its mode."""

import os
import stat

import pytest

from xmed.files.permissions import KNOWN_BY, make_private_home


def mode(folder):
    return stat.S_IMODE(folder.stat().st_mode)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that every account may enter."""
    monkeypatch.delenv("XMED_GROUP", raising=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o755)
    return tmp_path / "folder"


@pytest.mark.parametrize("name", KNOWN_BY)
def test_a_folder_with_any_one_thing_that_a_home_has_is_a_home_and_is_closed(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).mkdir()
    make_private_home(folder)
    # PostgreSQL, which root does not run as root, may go through a home that has a stack, if it could before.
    assert mode(folder) == (0o701 if name.startswith("stack") and os.geteuid() == 0 else 0o700)


def test_a_home_that_only_prefect_has_written_to_is_closed(folder):
    """`xmed schedule` before anything else: its server makes `prefect/` first."""
    (folder / "prefect").mkdir()
    make_private_home(folder)
    assert mode(folder) == 0o700


def test_an_empty_folder_becomes_a_home(folder):
    make_private_home(folder)
    assert mode(folder) == 0o700


def test_a_folder_with_other_things_keeps_its_mode(folder):
    (folder / "letters").mkdir()
    make_private_home(folder)
    assert mode(folder) == 0o755
