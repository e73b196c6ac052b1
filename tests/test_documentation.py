"""Documentation: pages that are made from code are up to date, and every example and every step in them is real."""

from __future__ import annotations

import doctest
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import xmed

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def script(name: str) -> ModuleType:
    """A script of docs/ as a module: docs/ is no package, and processes that start in it must find it by its name."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


architecture = script("architecture")
EXAMPLE = re.compile(r"^### (?P<name>\w+)\n.*?^```pycon\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {match["name"]: match["code"] for match in EXAMPLE.finditer((DOCS / "python.md").read_text("utf-8"))}


def test_the_page_of_the_architecture_is_what_its_script_writes():
    written = (DOCS / "architecture.md").read_text("utf-8")
    assert written == architecture.text(), "stale: run `python docs/architecture.py`"


@pytest.mark.parametrize("title", architecture.JOURNEYS)
class TestJourney:
    def test_it_has_few_steps(self, title):
        assert len(architecture.JOURNEYS[title]) <= architecture.LONGEST

    def test_each_step_is_a_function_that_exists(self, title):
        assert [hop.place for hop in architecture.JOURNEYS[title] if not architecture.exists(hop)] == []

    def test_each_step_is_connected_with_the_others_in_the_code(self, title):
        assert architecture.disconnected(architecture.JOURNEYS[title]) == []

    def test_it_enters_no_room_again(self, title):
        rooms = architecture.rooms_of(architecture.JOURNEYS[title])
        assert len(rooms) == len(set(rooms)), f"{title}: {' → '.join(rooms)}"


def test_there_are_seven_journeys():
    assert len(architecture.JOURNEYS) == 7


def test_a_step_that_nothing_leads_to_is_noticed():
    first, *_, last = architecture.JOURNEYS["Approve a model"]
    stray = architecture.Hop("xmed/batch.py:Batch", "has nothing to do with approval")
    assert architecture.disconnected([first, stray, last]) == [stray.place, last.place]


def test_every_room_says_what_it_does():
    silent = [room for floor in architecture.FLOORS for room in floor if len(architecture.purpose(room)) < 20]
    assert silent == []


def test_the_forty_questions_name_files_that_exist_and_the_score_is_their_count():
    text = (DOCS / "where.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \| .*? \| `([^`]+)` \| (yes|no)", text, re.MULTILINE)
    assert len(rows) == 40
    assert [file for file, _ in rows if not (ROOT / file).is_file()] == []
    assert f"**Score: {sum(answer == 'yes' for _, answer in rows)} of 40.**" in text


def test_every_name_of_the_front_door_has_an_example_and_a_line_in_the_table():
    names = set(xmed.__all__) - {"__version__"}
    assert set(EXAMPLES) == names
    table = (DOCS / "python.md").read_text("utf-8").split("## Look at files")[0]
    assert set(re.findall(r"\[`(\w+)`\]", table)) == names


@pytest.fixture(scope="module")
def went(tmp_path_factory) -> Any:
    """The journey, gone once; its examples work in what it left behind."""
    return script("journey").journey(tmp_path_factory.mktemp("journey"))


@pytest.mark.slow
def test_the_journey_goes_the_whole_way_from_images_to_a_report_that_verifies(went):
    assert went.page.is_file()
    assert went.problems == ()
    assert xmed.Model.load(went.model).modality == "US"


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, went):
    given = {"xmed": xmed, "folder": went.folder, "home": went.home, "run": went.run, "model": went.model}
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], given, name, str(DOCS / "python.md"), 0)
    report: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=report.append)
    assert tried
    assert not failed, "".join(report)
