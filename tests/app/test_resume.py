"""Continuing: the same command goes on with a run that was killed, and with nothing else."""

from pathlib import Path

import pytest

from xmed.app import resume
from xmed.app.resume import begin, end, unfinished
from xmed.run import Run
from xmed.spec import Study

NOWHERE = {"source": None, "target": None}


@pytest.fixture
def study():
    return Study.model_validate(
        {
            "name": "a-to-b",
            "source": "a",
            "target": "b",
            "structures": ["ball"],
            "grid": {"spacing_mm": [1, 1, 1], "patch": [32, 32, 1]},
            "method": {"name": "bridge", "pool": 7},
            "protocol": {"primary": {"structure": "ball"}},
            "register_as": "ball-b",
        }
    )


def test_a_run_that_did_not_end_is_found_and_one_that_did_is_not(study, home):
    assert unfinished(study, NOWHERE, home) is None
    run = begin(study, NOWHERE, home)
    assert unfinished(study, NOWHERE, home) == run
    end(run, {"registered": {"name": "ball-b"}})
    assert unfinished(study, NOWHERE, home) is None
    assert run.read("ended")["registered"] == {"name": "ball-b"}


def test_another_study_other_seeds_or_other_files_begin_anew(study, home):
    begin(study, {"source": Path("here"), "target": None}, home)
    assert unfinished(study, NOWHERE, home) is None
    assert unfinished(study, {"source": Path("here").absolute(), "target": None}, home)
    for change in ({"seeds": [1]}, {"register_as": "other"}):
        assert unfinished(study.model_copy(update=change), {"source": Path("here"), "target": None}, home) is None


def test_other_code_begins_anew(study, home, monkeypatch):
    begin(study, NOWHERE, home)
    monkeypatch.setattr(resume, "code", lambda: "0" * 64)
    assert unfinished(study, NOWHERE, home) is None


def test_the_code_is_known_by_its_every_file():
    assert resume.code() == resume.code()
    assert len(resume.code()) == 64


def test_runs_that_know_nothing_of_this_and_other_studies_of_like_name_are_left_alone(study, home):
    Run.create(study, home)
    begin(study.model_copy(update={"name": "a-to-b-compare"}), NOWHERE, home)
    assert unfinished(study, NOWHERE, home) is None
