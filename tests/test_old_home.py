"""A home that version 0.1.0 wrote, with a registered and approved model and a published run: today's code opens it."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from xmed import registry, report
from xmed.cli.main import main
from xmed.cohort import load_cohort
from xmed.evaluate.remeasure import damaged
from xmed.home import Home
from xmed.io import read_nifti
from xmed.model import Model
from xmed.records.record import content
from xmed.run import Run

FIXTURE = Path(__file__).parent / "fixtures" / "home-0.1.0"
MODEL = "models:/balls-ct@clinical-evaluation"
SIDES = {"balls-mr": 9, "balls-ct": 9}


@dataclass(frozen=True)
class Old:
    """The home, its one run, the place where that run was published, and a folder for what a test writes."""

    home: Home
    run: Run
    published: str
    scratch: Path


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Old:
    """The home as it was kept, in another place than it was made in."""
    place = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE / "home.tar.xz") as archive:
        archive.extractall(place, filter="data")
    (folder,) = (place / "home" / "runs").iterdir()
    home = Home(place / "home")
    return Old(home, Run(folder), (place / "published" / folder.name).as_uri(), place)


@pytest.fixture(autouse=True)
def current(old, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "XMED_AUDIT_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XMED_HOME", str(old.home.folder))


def test_it_was_written_by_version_0_1_0(old):
    assert old.run.read("environment")["xmed"] == "0.1.0"
    assert {record["tool"] for record in map(json.loads, old.home.audit_log.open(encoding="utf-8"))} == {"xmed 0.1.0"}


def test_the_run_and_its_report_open(old):
    document = content(report.read_report(old.run.report))
    assert old.run.study.name == "balls"
    assert document["verdict"] == "pass"
    assert document["schema"] == "xmed-report/1"


@pytest.mark.parametrize("name", SIDES)
def test_the_store_opens(name, old):
    cohort = load_cohort(name, old.home.folder)
    assert len(cohort.cases) == SIDES[name]
    assert all(cohort.image(case).grid.same(cohort.label(case).grid) for case in cohort.cases)


def test_its_report_verifies_to_the_bottom(old, capsys):
    assert main(["report", "verify", str(old.run.folder), "--deep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_its_audit_log_verifies(old, capsys):
    assert main(["audit", "verify"]) == 0, capsys.readouterr().out
    assert registry.verify_audit(old.home.folder) == []


def test_its_models_are_listed_with_their_aliases(old, capsys):
    assert main(["models", "--json"]) == 0
    (version,) = json.loads(capsys.readouterr().out)
    assert (version["name"], int(version["version"])) == ("balls-ct", 1)
    assert "clinical-evaluation" in json.dumps(version)


@pytest.mark.parametrize("model", ["registered", "published", "folder"])
def test_the_model_predicts_what_version_0_1_0_predicted(model, old):
    reference = {"registered": MODEL, "published": old.published, "folder": str(old.run.arm("adapted", 0) / "model")}
    image, out = old.home.folder / "data" / "ct" / "P6" / "image.nii.gz", old.scratch / f"{model}.nii.gz"
    assert main(["predict", reference[model], str(image), "-o", str(out)]) == 0
    expected = read_nifti(FIXTURE / "prediction-P6.nii.gz")
    assert np.array_equal(read_nifti(out).array, expected.array)


def test_the_published_run_verifies(old, capsys):
    assert main(["report", "verify", old.published, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_its_registered_model_is_the_one_that_was_trained(old):
    registered = Model.load(registry.fetch(MODEL, old.home.folder))
    trained = Model.load(old.run.arm("adapted", 0) / "model")
    assert registered.weights_sha256 == trained.weights_sha256


def test_the_gate_measures_and_predicts_again_and_finds_nothing_but_that_todays_rule_is_stricter(old):
    (refusal,) = registry.check_version("balls-ct", 1, old.home.folder).refused
    assert refusal.code == "verdict"
    assert refusal.text.startswith("by today's rules it does not pass: gain over the best trivial baseline, ball")


def test_an_entry_of_the_store_that_was_changed_is_still_noticed(old, tmp_path):
    shutil.copytree(old.home.store, tmp_path / "store")
    case = next(case for case in load_cohort("balls-ct", tmp_path).split("test"))
    assert damaged([case], tmp_path) == []
    path = tmp_path / "store" / "volumes" / case.image[:2] / case.image / "image.npy"
    path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\x00\x00")
    assert damaged([case], tmp_path) == [f"{case.id}: its image in the store is not the one that was ingested"]


def test_clinical_use_asks_for_a_second_person(old):
    answer = registry.approve(
        "balls-ct", 1, old.home.folder, by="Ada Reader", meaning="the same person again", alias="clinical-use"
    )
    assert answer.approved is False
    assert "person" in {refusal.code for refusal in answer.refused}
