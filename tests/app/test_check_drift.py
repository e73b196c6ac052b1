"""`xmed drift`: whatever data is given as is taken in without labels, judged, shown and logged; the exit code is the answer."""

import json
import os
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from support.drift_reference import (
    REFUSED,
    about,
    built,
    composed,
    crowd,
    reference,
    run as run,  # a fixture
)
from support.registrable_runs import finished
from support.validated_model import balls
from xmed import monitor, registry
from xmed.cli.main import main
from xmed.cohort import load_cohort
from xmed.console.tables import show_drift
from xmed.errors import XmedError
from xmed.records.answers import DriftPage
from xmed.records.model_card import ModelCard
from xmed.records.record import content, read_record
from xmed.registry.tracking_store import client
from xmed.server import process_environment


@pytest.fixture
def drift(home):
    """The job's module; the environment, which Prefect and its home need, is put back."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(home)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    process_environment.prepare_environment()
    process_environment.open_home()
    from xmed.app import check_drift

    yield check_drift
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def card(run):
    return read_record(ModelCard, run.arm("adapted", 0) / "model" / "model.json")


def test_a_folder_becomes_cases_under_pseudonyms_and_what_cannot_be_read_is_shown(run, card, home, tmp_path, drift):
    balls(tmp_path, "came", {"test": [f"Mustermann-{n}" for n in range(4)]}, 80, tmp_path / "elsewhere")
    folder, model = tmp_path / "came" / "image", run.arm("adapted", 0) / "model"
    (folder / "broken.nii.gz").write_bytes(b"no image")
    spec = drift.incoming(str(folder), card)
    drift.take_in(spec)
    page = drift.check(str(model), model, spec.name, drift.reference_for(str(model), model))
    found = content(monitor.read_drift_check(page.parent))
    assert (found["input"]["cases"], found["input"]["patients"], found["unreadable"]["n"]) == (5, 4, 1)
    assert found["verdict"] == "no_alarm"
    assert page.parent.parent == home / "reports" / "drift"
    for path in page.parent.iterdir():
        assert "Mustermann" not in path.read_text(), path
        assert str(tmp_path) not in path.read_text(), path
    said = StringIO()
    show_drift(Console(file=said, width=200), monitor.read_drift_check(page.parent), str(page))
    assert "verdict     no alarm" in said.getvalue()
    assert "unreadable  1 of 5" in said.getvalue()
    assert found["rule"]["text"] in said.getvalue()


def test_a_labelled_dataset_is_taken_without_its_labels_and_stays_as_it_was(
    run, card, home, tmp_path, drift, monkeypatch
):
    spec, before = balls(tmp_path, "other", {"train": ["a", "b"], "test": ["c"]}, 90, home)
    monkeypatch.setattr(drift, "plan_dataset", lambda name, root: spec)
    asked = drift.incoming("other", card)
    drift.take_in(asked)
    came = load_cohort(asked.name, home)
    assert [case.image for case in came.cases] == [case.image for case in before.cases], "nothing was read again"
    assert {case.label for case in came.cases} == {None}
    assert load_cohort("other", home).fingerprint == before.fingerprint
    monkeypatch.setattr(drift, "plan_dataset", lambda name, root: spec.model_copy(update={"modality": "CT"}))
    with pytest.raises(
        XmedError, match=r"error\[MODALITY_MISMATCH\]: found other is CT · expected PT, as the model's data"
    ):
        drift.incoming("other", card)


def test_a_model_without_a_reference_whose_run_is_gone_is_refused_with_what_to_do(run, tmp_path, drift):
    model = shutil.copytree(run.arm("adapted", 0) / "model", tmp_path / "model")
    assert drift.reference_for(str(model), model).cases == 5, "made on request from the run and its data"
    shutil.rmtree(run.folder)
    with pytest.raises(
        XmedError, match=r"error\[REFERENCE_MISSING\]: found model carries no reference, and none can be made: no run"
    ):
        drift.reference_for(str(model), model)


@pytest.mark.parametrize(("move", "code"), [(3.0, 1), (0.0, 0)])
def test_an_alarm_is_exit_1_and_none_is_exit_0(move, code, tmp_path, drift, monkeypatch, capsys):
    found = composed(about(7), reference(), crowd(6, 3, move=move), REFUSED[:1])
    page = built(found, tmp_path / "check")
    from xmed_pipelines import drift_flow

    monkeypatch.setattr(drift_flow, "drift_flow", lambda *asked: DriftPage(folder=str(page.parent), report=str(page)))
    (tmp_path / "in").mkdir()
    assert main(["drift", "models:/balls/1", str(tmp_path / "in"), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["verdict"] == found["verdict"]


def test_data_that_is_nowhere_is_exit_2_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "new"))
    assert main(["drift", "models:/balls/1", "no-such-data"]) == 2
    assert capsys.readouterr().err.startswith("error[SPEC_NOT_FOUND]: found no dataset 'no-such-data'")
    assert not Path(tmp_path / "new").exists()


@pytest.mark.slow
def test_a_version_carries_its_reference_and_a_check_is_logged_beside_its_study(tmp_path, drift, home):
    run = finished(home)
    run.write(reference())
    uri = registry.register(run, home).uri
    assert registry.reference_of(uri, home) == reference()
    page = built(composed(about(6), reference(), crowd(6, 2, move=3.0), []), tmp_path / "check")
    logged = client(home).get_run(drift.log_drift(page))
    assert logged.data.metrics["drift/alarm"] == 1.0
    assert logged.data.metrics["drift/p"] <= 0.04
    assert logged.data.tags["verdict"] == "alarm"
    assert {one.path for one in client(home).list_artifacts(logged.info.run_id, "drift")} == {
        "drift/drift.html",
        "drift/drift.json",
    }
    (kept,) = home.glob("mlartifacts/**/evidence/monitor.json")
    kept.write_text(kept.read_text().replace('"cases": 12', '"cases": 13'))
    with pytest.raises(
        XmedError, match=r"error\[MODEL_INVALID\]: found the reference of .* is not the one that was registered"
    ):
        registry.reference_of(uri, home)
