"""Validation: a finished model on data it was not made from gets a report of its own, which claims no more than it can."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import json

import pytest

from support.validated_model import balls, model, validated  # noqa: F401
from xmed import report
from xmed.app import external_validation
from xmed.app.rebuild_report import keep_author_text, keep_prior_report
from xmed.errors import XmedError
from xmed.run import Run
from xmed.spec import Protocol


def test_a_model_is_validated_on_other_data_with_a_report_of_its_own(model, tmp_path, home):
    spec, _ = balls(tmp_path, "new", {"test": ["n1", "n2", "n3"]}, 20, home)
    asked = Protocol.model_validate({"primary": {"structure": "ball"}, "accept": {"dice": 0.99}})
    run, found = validated(model, spec, home, asked)
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []
    assert (found["kind"], found["external"]["model"], found["verdict"]) == ("external", "models:/balls/3", "fail")
    assert not found["exploratory"]  # the model was made under the protocol of another study, and may have been
    arms = {arm for arm, cells in found["summary"].items() if cells and not arm.startswith("ga")}
    assert arms == {"adapted", "trivial_threshold", "trivial_position"}  # what the baselines learn from is still here
    checks = {one["id"]: one for one in found["data"]["leakage"]["checks"]}
    assert (checks["patient_overlap"]["found"], checks["patient_overlap"]["n_learned"]) == (0, 4)
    claimed = {one["item"]: one for one in found["claim"]}
    assert claimed[33]["status"] == "filled"
    assert {claimed[n]["status"] for n in (24, 25, 32)} == {"human_required"}  # nothing was trained here


def test_a_patient_that_the_model_learned_from_is_found_in_the_new_data(model, tmp_path, home):
    spec, _ = balls(tmp_path, "new", {"test": ["t2", "n2"]}, 20, home)
    _, found = validated(model, spec, home)
    assert found["data"]["leakage"]["patient_overlap"] == ["t2"]
    assert found["verdict"] == "fail"


def test_without_the_training_data_nothing_is_claimed_about_leakage(model, tmp_path, home):
    spec, _ = balls(tmp_path, "new", {"test": ["n1", "n2"]}, 20, home / "elsewhere")
    run, found = validated(model, spec, home / "elsewhere")
    criterion = next(one for one in found["criteria"] if one["id"] == "no_leakage")
    assert criterion["holds"] is None
    assert criterion["reason"]
    assert found["verdict"] == "inconclusive"
    assert "unseen in training" not in found["headline"]["sentence"]
    assert next(one for one in found["claim"] if one["item"] == 20)["status"] == "human_required"
    assert {row["arm"] for row in run.read("rows")} == {"adapted"}  # no source, no baselines


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": {1: {"name": "cube"}}}, r"error\[SPEC_INVALID\]: found new has no label ball"),
        ({"modality": "MR"}, r"error\[MODALITY_MISMATCH\]: found new is MR · expected PT, as the model's data"),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused_before_anything_is_written(model, tmp_path, home, changes, says):
    spec, _ = balls(tmp_path, "new", {"test": ["n1"]}, 20, home, **changes)
    with pytest.raises(XmedError, match=says):
        external_validation.external_study(model, spec, None)
    assert not (home / "runs").exists()


def test_a_protocol_about_another_structure_and_a_folder_without_a_model_are_refused(model, tmp_path, home):
    spec, _ = balls(tmp_path, "new", {"test": ["n1"]}, 20, home)
    with pytest.raises(XmedError, match=r"protocol\.primary\.structure cube · expected one of ball"):
        external_validation.external_study(model, spec, Protocol.model_validate({"primary": {"structure": "cube"}}))
    with pytest.raises(XmedError, match=r"error\[MODEL_NOT_FOUND\]"):
        external_validation.card_of(tmp_path)


# --- what is put beside a run's numbers


def test_the_version_that_is_compared_with_is_the_one_in_use_and_stays(tmp_path, home, monkeypatch):
    from support.evaluated_runs import written
    from xmed.records.model_version import ListedVersion

    for version in (1, 2, 3):
        report.write_report(written(home / "runs" / f"toy-{version}", patients=2, seeds=(0,), names=("prostate",)))
    aliases = {1: ["clinical-evaluation"], 2: ["candidate"], 3: []}
    fields = [{"name": "toy-us", "version": n, "aliases": aliases[n], "xmed.run": f"toy-{n}"} for n in (3, 2, 1)]
    rows = [ListedVersion.model_validate({**row, "created": 0}) for row in fields]
    monkeypatch.setattr("xmed.app.rebuild_report.registry.versions", lambda home: rows)
    run = written(home / "runs" / "toy-4", patients=2, seeds=(0,), names=("prostate",))
    study = json.loads((run.folder / "study.json").read_text())
    study["grid"] = {"spacing_mm": [1.0, 1.0, 1.0], "patch": [32, 32, 16], "context": 0}
    study["network"] = {"name": "unet", "channels": [8, 16, 32]}
    run.write("study", study)
    keep_prior_report(Run(run.folder), home)
    assert run.read("prior")["version"] == 1
    rows[2] = rows[2].model_copy(update={"aliases": []})
    keep_prior_report(Run(run.folder), home)
    assert run.read("prior")["version"] == 1  # a report that is built again says what it said


def test_the_text_beside_a_study_is_kept_in_the_run_once(tmp_path, home, monkeypatch):
    from support.evaluated_runs import written

    run = written(home / "runs" / "toy", patients=1)
    folder = tmp_path / "data_specs" / "studies"
    folder.mkdir(parents=True)
    (folder / "toy.yaml").write_text("name: toy\n")
    monkeypatch.chdir(tmp_path)
    keep_author_text(run, "toy")
    assert not run.has("text")
    (folder / "toy.text.yaml").write_text("aims: to see\n")
    keep_author_text(run, "toy")
    assert run.read("text")["items"] == {"aims": "to see"}
