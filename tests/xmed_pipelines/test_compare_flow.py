"""A comparison trains cell by cell: what fails fails alone, what is finished is kept, and it is no ordinary run."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import json
import os
from concurrent.futures.process import BrokenProcessPool
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from support.stand_in_library import library, place, prefect_server, study  # noqa: F401
from xmed.app.plan import plan_comparison, plan_study
from xmed.cli import flows
from xmed.cli.main import main
from xmed.console import progress_display
from xmed.console.tables import show_comparison
from xmed.errors import XmedError
from xmed.evaluate import evaluate_run
from xmed.files.progress import Steps
from xmed.records.answers import ComparedRun
from xmed.records.method_comparison import MethodComparison
from xmed.run import Run
from xmed.server.doctor import leftovers
from xmed.train import arm_processes
from xmed.volume import Volume

JOBS = {
    ("source_only", 0): [],
    ("coral", 0): [("source_only", 0)],
    ("auto", 0): [("source_only", 0), ("coral", 0)],
    ("gin", 0): [],
}


def test_a_comparison_always_has_its_floor_and_its_ceiling(study, place):
    plan = plan_comparison(str(study), ["gin", "coral", "gin"], [0, 1])
    assert plan.methods == ("source_only", "gin", "coral", "target_supervised")
    assert plan.study.seeds == [0, 1]
    assert not place.exists()


def test_all_means_every_method_and_every_composition(study):
    from xmed import methods

    assert set(plan_comparison(str(study), ["all"]).methods) == {*methods.names(), *methods.COMPOSITIONS}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["gin", "magic"], r"error\[METHOD_UNKNOWN\]: found no method 'magic'.* · expected one of .*gin"),
        (
            None,
            r"error\[USAGE\]: found no --methods · expected methods with commas between, or all · fix see `xmed methods`",
        ),
    ],
)
def test_methods_that_cannot_be_compared_are_refused_before_anything_is_written(study, place, names, says):
    with pytest.raises(XmedError, match=says):
        plan_comparison(str(study), names)
    assert not place.exists()


def test_a_run_and_a_comparison_are_not_taken_for_each_other(study, place):
    asked = plan_study(str(study)).study
    run, comparison = Run.create(asked, place), Run.create(asked, place, ["source_only", "gin"])
    assert comparison.id.startswith("toy-compare-")
    assert (run.methods, comparison.methods) == ([], ["source_only", "gin"])
    assert plan_comparison(str(study), None, resume=comparison.id).methods == ("source_only", "gin")
    with pytest.raises(XmedError, match=r"error\[USAGE\]: found run toy-\S+ is no comparison"):
        plan_comparison(str(study), None, resume=run.id)
    with pytest.raises(XmedError, match=r"error\[USAGE\]: found --methods with --resume"):
        plan_comparison(str(study), ["coral"], resume=comparison.id)
    with pytest.raises(XmedError, match=r"error\[USAGE\]: found run toy-compare-\S+ is a comparison"):
        plan_study(str(study), resume=comparison.id)


def test_the_doctor_knows_when_a_comparison_is_finished(study, place, monkeypatch):
    comparison = Run.create(plan_study(str(study)).study, place, ["gin"])
    monkeypatch.setattr(leftovers, "ALIVE_SECONDS", -1.0)
    assert comparison.id in next(leftovers.check_runs(place)).detail
    comparison.write("comparison", {})
    assert next(leftovers.check_runs(place)).ok


def told(lost, problem):
    refused = []
    waiting = [job for job in JOBS if job != lost]
    left = arm_processes._drop_dependents(waiting, JOBS, lost, problem, lambda *told: refused.append(told))
    return left, [(arm, type(why).__name__) for arm, _, why in refused]


def test_a_cell_that_fails_takes_only_what_begins_with_it():
    left, refused = told(("coral", 0), ValueError("a bug"))
    assert left == [("source_only", 0), ("gin", 0)]
    assert refused == [("coral", "ValueError"), ("auto", "ModelError")]
    left, refused = told(("source_only", 0), XmedError("TRAINING_DIVERGED", "step 3"))
    assert left == [("gin", 0)]
    assert [arm for arm, _ in refused] == ["source_only", "coral", "auto"]  # auto once, though it needs both


@pytest.mark.parametrize("problem", [OSError(28, "No space left"), BrokenProcessPool("killed")])
def test_a_full_disk_or_a_lost_worker_ends_everything(problem):
    with pytest.raises(type(problem)):
        told(("coral", 0), problem)


def test_without_somebody_to_tell_the_first_failure_is_raised():
    with pytest.raises(ValueError, match="a bug"):
        arm_processes._drop_dependents([], JOBS, ("coral", 0), ValueError("a bug"), None)


def test_an_arm_is_judged_again_only_when_its_model_or_the_metrics_change(tmp_path, monkeypatch):
    run, label = Run(tmp_path), np.zeros((4, 4, 2), np.uint8)
    case = SimpleNamespace(id="a", patient="p")
    target = SimpleNamespace(
        fingerprint="f",
        spec=SimpleNamespace(spacing_credible=True),
        image=lambda case: "volume",
        label=lambda case: None,
    )
    truth = Volume(label, np.eye(4))
    loads = []
    monkeypatch.setattr(evaluate_run, "reference_labels", lambda *_: truth)
    monkeypatch.setattr(evaluate_run.Model, "load", lambda folder: loads.append(folder))
    made = SimpleNamespace(label=SimpleNamespace(array=label))
    monkeypatch.setattr(evaluate_run, "_predicted", lambda model, volume: (made, ""))
    weights = run.arm("gin", 0) / "model" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"one")
    bench = evaluate_run.ArmEvaluator(run, SimpleNamespace(structures=["ball"]), target, [case], 2.0)
    rows = bench.judge("gin", 0, Steps(None, "evaluate", 1))
    assert bench.judge("gin", 0, Steps(None, "evaluate", 1)) == rows
    assert len(loads) == 1
    weights.write_bytes(b"two")
    bench.judge("gin", 0, Steps(None, "evaluate", 1))
    assert len(loads) == 2
    weights.with_name("model.json").write_text('{"enlarges": true}')  # the weights stay as they are
    bench.judge("gin", 0, Steps(None, "evaluate", 1))
    assert len(loads) == 3
    monkeypatch.setattr(evaluate_run, "measurement_digest", lambda: "another definition of a failure")
    bench.judge("gin", 0, Steps(None, "evaluate", 1))
    assert len(loads) == 4
    with np.load(run.arm("gin", 0) / evaluate_run.LABELS) as file:
        assert file["case.a"].shape == label.shape


def test_on_a_terminal_trainings_are_shown_in_one_table():
    file = StringIO()
    with progress_display.progress(Console(file=file, force_terminal=True, width=80)):
        progress_display.lay_out(["source_only", "gin"], [0, 1])
        progress_display.report("train source_only seed 0", 1, 1, "done before")
        progress_display.report("train gin seed 0", 10, 40, "loss 1.0")
        progress_display.report("train gin seed 1", 1, 1, f"{progress_display.FAILED}step 3")
        progress_display.report("evaluate", 1, 2)
    last = file.getvalue().rsplit("seed 0", 1)[1]
    assert "✓" in last.splitlines()[1]
    assert "25%" in last.splitlines()[2]
    assert "failed" in last.splitlines()[2]
    assert "evaluate" in last


DICE = {"n": 8, "n_failed": 0, "n_cases": 8, "sd_between_seeds": None, "reason": None}
DIFFERENCE = {"value": None, "ci": None, "n": 8, "p_sign_flip": None, "smallest_p": None}
SIDE = {"name": "toy", "modality": "MR", "fingerprint": "0"}
FOUND = {
    "schema": "xmed-comparison/1", "run": "r", "study": "toy", "source": SIDE, "target": SIDE,
    "structures": ["prostate"], "primary": "prostate", "methods": ["gin"], "seeds": [0], "patients": 8, "budget": {},
    "rows": [], "protocol_sha256": "0", "environment": {}, "rank_agreement": {}, "hardest": [], "unsupported": [],
    "ceiling_over_trivial": DIFFERENCE, "verdict": ["One sentence.", "Another."],
    "ranking": {"prostate": [{
        "method": "gin", "target_labels_used": False, "seconds": 12.0, "seeds": [0], "cite": None,
        "rank": {"value": 1, "ci": [1, 2], "first": 0.9, "mean": 1.2},
        "dice": {**DICE, "mean": 0.8123, "ci": [0.7, 0.9]}, "gap_closed": {"value": 0.5, "ci": None},
        "gain_over_trivial": DIFFERENCE, "minus_source_only": {**DIFFERENCE, "value": 0.25, "p_holm": 0.031},
    }]},
    "baselines": [{
        "method": "trivial_position", "structure": "prostate", "dice": {**DICE, "mean": 0.4, "ci": None}, "rule": None,
    }],
    "failed": [{"method": "coral", "seed": 1, "code": "TRAINING_DIVERGED", "message": "diverged"}],
}  # fmt: skip
COMPARED = {"run": "r", "folder": "f", "page": "/x/comparison.html"}


def test_the_table_says_how_sure_the_ranking_is_and_what_failed():
    file = StringIO()
    result, comparison = ComparedRun.model_validate(COMPARED), MethodComparison.model_validate(FOUND)
    show_comparison(Console(file=file, width=140), result, comparison)
    text = file.getvalue()
    pieces = ("1 (1–2)", "0.812 (0.70–0.90)", "50%", "+0.250", "0.031", "trivial_position", "coral seed 1: diverged")
    assert all(piece in text for piece in (*pieces, "One sentence.", "/x/comparison.html"))


@pytest.mark.parametrize(("seeds", "numbers"), [("3", [0, 1, 2]), ("0,4", [0, 4]), (None, None)])
def test_seeds_are_a_count_or_a_list(monkeypatch, tmp_path, capsys, seeds, numbers):
    import xmed.app.plan

    asked = []
    monkeypatch.setattr(xmed.app.plan, "plan_comparison", lambda *given: asked.append(given))
    (tmp_path / "comparison.json").write_text(json.dumps(FOUND))
    result = ComparedRun.model_validate({**COMPARED, "folder": str(tmp_path)})
    comparing = SimpleNamespace(compare_flow=lambda *_: result)
    monkeypatch.setattr(flows, "_prepare", lambda **_: None)
    monkeypatch.setitem(__import__("sys").modules, "xmed_pipelines.compare_flow", comparing)
    before = dict(os.environ)
    extra = ["--seeds", seeds] if seeds else []
    assert main(["compare", "toy", "--methods", "gin, coral", "--json", *extra]) == 0
    os.environ.clear()
    os.environ.update(before)
    assert asked[0][1:3] == (["gin", "coral"], numbers)
    assert json.loads(capsys.readouterr().out)["verdict"] == FOUND["verdict"]


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_the_flow_trains_judges_and_goes_on_after_a_failure(study, place, library, monkeypatch):
    from xmed_pipelines import compare_flow

    def fit_all(run, home, arms, workers, progress, refuse):
        library.call(f"train {','.join(arms)}")
        refuse("gin", 0, XmedError("TRAINING_DIVERGED", "step 3", "finite losses"))
        library.fit_all(run, home)
        with pytest.raises(ZeroDivisionError):
            refuse("source_only", 0, ZeroDivisionError("no floor, no table"))

    def promote(run, home, arms, progress):
        library.call(f"choose {','.join(arms)}")

    from xmed.app import compare_methods

    monkeypatch.setattr(compare_methods, "train", SimpleNamespace(fit_all=fit_all, promote=promote))
    build = SimpleNamespace(write_comparison=lambda run: library.call("build") or run.folder / "comparison.html")
    monkeypatch.setattr(compare_methods, "comparison", build)
    result = compare_flow.compare_flow(str(study), ["gin"], [0])
    run = Run.find(result["run"], place)
    assert run.methods == ["source_only", "gin", "target_supervised"]
    assert run.read("failed") == [{"method": "gin", "seed": 0, "code": "TRAINING_DIVERGED", "message": "step 3"}]
    trained = ["train source_only,gin,target_supervised", "train", "choose source_only,adapted,target_supervised"]
    assert library.calls == ["ingest toy-mr", "ingest toy-us", "judged", *trained, "evaluate", "objects", "build"]
    assert compare_flow.compare_flow(str(study), resume=result["run"])["run"] == result["run"]
    assert len(list((place / "runs").iterdir())) == 1
