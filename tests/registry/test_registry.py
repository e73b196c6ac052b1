"""The registry keeps what a run shows, hands out only what was validated, and refuses the rest."""

import hashlib
import itertools
import json
import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from support.registrable_runs import FakeModel, finished, report
from xmed import registry
from xmed.errors import XmedError
from xmed.registry.tracked_runs import POINTS_A_CURVE, _losses
from xmed.registry.tracking_store import client


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """A store with its tables and nothing in them: making them takes most of a test's time."""
    home = tmp_path_factory.mktemp("blank")
    client(home).search_experiments()
    return home / "mlflow.db"


@pytest.fixture
def home(blank, tmp_path):
    shutil.copy(blank, tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def served_by_a_fake(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=FakeModel))


@pytest.fixture
def run(home):
    return finished(home)


def mlflow_runs(home):
    place = client(home).get_experiment_by_name("toy")
    return client(home).search_runs([place.experiment_id])


def test_a_run_is_logged_with_its_parameters_metrics_fingerprints_and_report(run, home):
    parent = registry.log_run(run, home)
    logged = client(home).get_run(parent)
    assert logged.data.params["method.name"] == "bridge"
    assert logged.data.metrics == {
        "source_only/prostate/dice": 0.1,
        "adapted/prostate/dice": 0.8,
        "gap_closed/prostate": 0.9,
        "gain_over_trivial/prostate": 0.2,
    }
    assert logged.data.tags["data.target.fingerprint"] == "b" * 64
    assert logged.data.tags["protocol_sha256"] == run.read("protocol")["sha256"]
    assert {entry.path for entry in client(home).list_artifacts(parent, "report")} == {
        "report/report.html",
        "report/report.json",
    }
    assert (home / "mlartifacts").is_dir()
    assert not (Path.cwd() / "mlruns").exists()


def test_each_arm_and_seed_is_a_child_with_every_named_loss(run, home):
    parent = registry.log_run(run, home)
    children = [entry for entry in mlflow_runs(home) if entry.data.tags.get("mlflow.parentRunId") == parent]
    assert {(c.data.tags["xmed.arm"], c.data.tags["xmed.seed"]) for c in children} == {
        (arm, seed) for arm in ("adapted", "target_supervised") for seed in "01"
    }
    history = client(home).get_metric_history(children[0].info.run_id, "loss/supervised")
    assert [(point.step, point.value) for point in history] == [(1, 0.9), (2, 0.5)]
    assert len(client(home).get_metric_history(children[0].info.run_id, "loss/late")) == 1
    assert children[0].data.params["strength"] == "0.5"


def test_a_long_curve_is_logged_at_as_many_steps_as_a_plot_shows(tmp_path):
    lines = ["step,supervised,total,lr", *(f"{step},{1 / step},{1 / step},0.001" for step in range(1, 2100))]
    (tmp_path / "losses.csv").write_text("\n".join(lines))
    steps = [metric.step for metric in _losses(tmp_path / "losses.csv", 0) if metric.key == "lr"]
    assert (len(steps), steps[0], steps[-1]) == (POINTS_A_CURVE, 1, 2099)
    assert {after - before for before, after in itertools.pairwise(steps)} <= {10, 11}


def test_logging_twice_adds_nothing(run, home):
    first = registry.log_run(run, home)
    assert registry.log_run(run, home) == first
    assert len(mlflow_runs(home)) == 5
    assert len(client(home).get_metric_history(first, "adapted/prostate/dice")) == 1


def test_an_interrupted_log_is_completed_and_leaves_no_orphan(run, home):
    parent = registry.log_run(run, home)
    child = next(entry for entry in mlflow_runs(home) if entry.info.run_id != parent)
    client(home).update_run(child.info.run_id, status="RUNNING")
    client(home).update_run(parent, status="RUNNING")
    assert sorted(registry.orphans(home)) == sorted([parent, child.info.run_id])
    assert registry.log_run(run, home) == parent
    assert registry.orphans(home) == []
    assert len(mlflow_runs(home)) == 5


def test_the_adapted_model_of_the_first_seed_becomes_the_candidate_and_nothing_more(run, home):
    registered = registry.register(run, home)
    assert (registered.name, registered.version, registered.alias) == ("toy-prostate-us", 1, "candidate")
    (row,) = registry.versions(home)
    assert row.aliases == ["candidate"]
    assert row.verdict == "pass"
    assert row.report_sha256 == hashlib.sha256((run.report / "report.json").read_bytes()).hexdigest()
    assert row.weights_sha256 == json.loads((run.arm("adapted", 0) / "train.json").read_text())["weights_sha256"]


def test_registering_twice_makes_one_version(run, home):
    assert registry.register(run, home) == registry.register(run, home)
    assert len(registry.versions(home)) == 1


def test_a_failed_verdict_registers_as_a_candidate_that_says_so(run, home):
    report(run, verdict="fail")
    assert registry.register(run, home).verdict == "fail"


def test_a_net_that_is_no_better_than_source_only_is_registered_but_not_as_candidate(run, home):
    run.write("selection", {"promoted": False, "reason": "adapted does not lead"})
    found = registry.register(run, home)
    assert (found.alias, found.uri) == (None, "models:/toy-prostate-us/1")
    assert found.not_promoted == "adapted does not lead"
    (row,) = registry.versions(home)
    assert row.aliases == []
    assert row.not_promoted == "adapted does not lead"
    run.write("selection", {"promoted": True, "reason": "adapted leads"})
    assert registry.register(run, home).alias == "candidate"


def test_what_is_served_gives_probabilities_and_holds_no_pickle(run, home, monkeypatch):
    import mlflow

    registered = registry.register(run, home)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    served = mlflow.pyfunc.load_model(registered.uri)
    out = served.predict(np.zeros((1, 1, 8, 24), np.float32))
    assert out.shape == (1, 3, 8, 24)
    np.testing.assert_allclose(out.sum(1), 1, atol=1e-6)
    with pytest.raises(Exception, match="Shape of input"):
        served.predict(np.zeros((1, 2, 8, 24), np.float32))
    stored = [path for path in (home / "mlartifacts").rglob("*") if path.is_file()]
    assert not [path for path in stored if path.suffix in (".pkl", ".pickle", ".pt", ".pt2")]


def test_without_a_report_nothing_is_registered(run, home):
    (run.report / "report.json").unlink()
    (home / "mlflow.db").unlink()
    with pytest.raises(XmedError, match=r"error\[MODEL_REFUSED\]: found run toy-.* has no report"):
        registry.register(run, home)
    assert not (home / "mlflow.db").exists()


def test_a_report_on_another_protocol_registers_nothing(run, home):
    report(run, protocol_sha256="0" * 64)
    with pytest.raises(XmedError, match=r"MODEL_REFUSED.*another protocol"):
        registry.register(run, home)


def test_a_protocol_changed_afterwards_registers_nothing(run, home):
    protocol = run.read("protocol")
    protocol["protocol"]["accept"]["gap_closed"] = 0.01
    run.write("protocol", protocol)
    with pytest.raises(XmedError, match=r"MODEL_REFUSED.*another protocol"):
        registry.register(run, home)


@pytest.mark.parametrize("change", [{"deployable": False}, {"target_labels_used": True}])
def test_a_model_that_must_not_be_deployed_is_refused(run, home, change):
    path = run.arm("adapted", 0) / "train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(XmedError, match=r"error\[MODEL_REFUSED\]"):
        registry.register(run, home)


def test_swapped_weights_are_refused(run, home):
    (run.arm("adapted", 0) / "model" / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(XmedError, match=r"error\[MODEL_INVALID\]: found .*weights.safetensors has sha256"):
        registry.register(run, home)


@pytest.mark.parametrize("reference", ["models:/toy-prostate-us@candidate", "models:/toy-prostate-us/1"])
def test_a_registered_model_is_fetched_as_the_folder_that_was_registered(run, home, reference):
    registry.register(run, home)
    folder = registry.fetch(reference, home)
    kept = (folder / "weights.safetensors").read_bytes()
    assert kept == (run.arm("adapted", 0) / "model" / "weights.safetensors").read_bytes()
    assert registry.fetch(reference, home) == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_fetched_model_that_was_tampered_with_is_not_handed_out(run, home):
    registry.register(run, home)
    folder = registry.fetch("models:/toy-prostate-us/1", home)
    save_file({"shift": np.ones(3, np.float32)}, folder / "weights.safetensors")
    sha = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, "weights_sha256": sha}))
    with pytest.raises(XmedError, match=r"error\[MODEL_INVALID\]"):
        registry.fetch("models:/toy-prostate-us/1", home)


def test_a_model_whose_description_was_changed_is_neither_handed_out_nor_registered(run, home):
    registry.register(run, home)
    for folder in (registry.fetch("models:/toy-prostate-us/1", home), run.arm("adapted", 0) / "model"):
        card = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**card, "structures": card["structures"][::-1]}))
    with pytest.raises(XmedError, match=r"error\[MODEL_INVALID\].*not the model that was validated"):
        registry.fetch("models:/toy-prostate-us/1", home)
    with pytest.raises(XmedError, match=r"error\[MODEL_REFUSED\].*not the one that was trained"):
        registry.register(run, home)


def test_a_model_folder_is_checked_and_handed_back(run, home):
    folder = run.arm("adapted", 0) / "model"
    assert registry.fetch(str(folder), home) == folder
    (folder / "model.json").write_text("{")
    with pytest.raises(XmedError, match=r"error\[MODEL_INVALID\]"):
        registry.fetch(str(folder), home)


@pytest.mark.parametrize(
    "reference", ["models:/nobody@candidate", "models:/nobody/1", "models:/nobody", "no/such/folder"]
)
def test_a_model_that_is_not_there_is_one_clear_refusal(home, reference):
    with pytest.raises(
        XmedError, match=r"error\[MODEL_NOT_FOUND\]: found no model .* · expected models:/name@alias, models:/name/3 or"
    ):
        registry.fetch(reference, home)
