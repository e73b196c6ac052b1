"""Run: a folder whose documents are whole or absent, and whose protocol is fixed before anything is read."""

import json

import pytest

from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.digest import digest
from xmed.files.json_numbers import NO_NUMBER
from xmed.run import Run, home
from xmed.spec import Study


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
            "protocol": {"primary": {"structure": "ball"}, "accept": {"gap_closed": 0.6}},
            "register_as": "ball-b",
        }
    )


def test_the_home_is_what_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "x"))
    assert home() == tmp_path / "x"
    monkeypatch.delenv("XMED_HOME")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / ".xmed"


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    with pytest.raises(ValueError, match="Out of range"):
        digest({"a": float("nan")})


def test_the_protocol_is_hashed_when_the_run_is_created(study, tmp_path):
    run = Run.create(study, tmp_path)
    protocol = run.read("protocol")
    fixed = {key: protocol[key] for key in ("name", "source", "target", "structures", "protocol")}
    assert protocol["sha256"] == digest(fixed)
    assert protocol["protocol"]["accept"]["gap_closed"] == 0.6
    assert protocol["fixed_at"].endswith("+00:00")


def test_a_run_gives_its_study_back_with_the_hyperparameters(study, tmp_path):
    run = Run.create(study, tmp_path)
    assert run.study == study
    assert run.study.method.hyperparameters == {"pool": 7}


def test_two_runs_of_one_study_have_two_folders(study, tmp_path):
    assert Run.create(study, tmp_path).id != Run.create(study, tmp_path).id


def test_a_run_is_found_by_id_and_by_folder(study, tmp_path):
    run = Run.create(study, tmp_path)
    assert Run.find(run.id, tmp_path) == run
    assert Run.find(run.folder, tmp_path) == run
    with pytest.raises(XmedError, match=r"error\[RUN_NOT_FOUND\]: found no run 'nothing'"):
        Run.find("nothing", tmp_path)


def test_only_arms_that_finished_are_listed_in_the_order_of_the_table(study, tmp_path):
    run = Run.create(study, tmp_path)
    for arm, seed in (("target_supervised", 0), ("adapted", 1), ("source_only", 0), ("adapted", 0)):
        write_atomically(run.arm(arm, seed) / "train.json", "{}")
    (run.arm("adapted", 2) / "model").mkdir(parents=True)
    assert run.arms() == [("source_only", 0), ("adapted", 0), ("adapted", 1), ("target_supervised", 0)]


def test_documents_know_no_nan_and_a_refused_one_leaves_the_old(study, tmp_path):
    run = Run.create(study, tmp_path)
    run.write("rows", [{"dice": float("nan"), "reason": None}, float("inf")])
    assert run.read("rows") == [{"dice": None, "reason": NO_NUMBER}, None]
    run.write("rows", [1])
    with pytest.raises(TypeError, match="not JSON serializable"):
        run.write("rows", [object()])
    assert run.read("rows") == [1]
    assert run.has("rows")
    assert not run.has("data")


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "x.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")  # a lone surrogate cannot be written
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert path.read_text() == "old"


def test_documents_are_json_that_others_can_read(study, tmp_path):
    run = Run.create(study, tmp_path)
    assert json.loads((run.folder / "study.json").read_text(encoding="utf-8"))["name"] == "a-to-b"
