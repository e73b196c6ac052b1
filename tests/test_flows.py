"""The flows call the library in its order, pass its errors on as they are, and leave nothing half-written."""

import json
import os
from types import SimpleNamespace

import pytest

from xmed.errors import XmedError
from xmed.records.data_summary import DataSummary
from xmed.run import TRAINED_ARMS, Run
from xmed.server import process_environment

DATASET = """
name: {name}
modality: {modality}
root: {root}
layout: {{image: "{{case}}.nii.gz", label: "{{case}}_label.nii.gz"}}
labels: {{1: {{name: prostate}}}}
splits: {{train: [a], test: [b]}}
"""
STUDY = """
name: toy
source: {folder}/toy-mr.yaml
target: {folder}/toy-us.yaml
structures: [prostate]
grid: {{spacing_mm: [1, 1, 1], patch: [32, 32, 1]}}
method: {{name: gin}}
budget: {{steps: 2, batch: 2}}
protocol: {{primary: {{metric: dice, structure: prostate}}}}
register_as: toy-prostate
"""


@pytest.fixture
def study(tmp_path):
    """A study whose two datasets' folders exist, and hold nothing."""
    for name, modality in (("toy-mr", "MR"), ("toy-us", "US")):
        (tmp_path / name).mkdir()
        text = DATASET.format(name=name, modality=modality, root=tmp_path / name)
        (tmp_path / f"{name}.yaml").write_text(text)
    path = tmp_path / "toy.yaml"
    path.write_text(STUDY.format(folder=tmp_path))
    return path


@pytest.fixture
def place(tmp_path):
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path / "home")
    yield tmp_path / "home"
    os.environ.clear()
    os.environ.update(before)


class Library:
    """Stands in for the heavy rooms: writes what they write, and remembers in what order it was called."""

    def __init__(self):
        self.calls, self.raises, self.fingerprint = [], {}, "f" * 64

    def call(self, name):
        self.calls.append(name)
        if name in self.raises:
            raise self.raises[name]

    def ingest(self, spec, home, *, data_root=None, progress=None, generate=None, spread=None):
        self.call(f"ingest {spec.name}")
        progress("ingest", 1, 1, "")
        return SimpleNamespace(spec=spec, fingerprint=self.fingerprint)

    def summary(self, source, target):
        sides = {"source": source, "target": target}
        flow = dict.fromkeys(("found", "readable", "quarantined", "train", "select", "test"), 2)
        facts = {s: {"name": n, "fingerprint": self.fingerprint, "flow": flow} for s, n in sides.items()}
        return DataSummary.model_validate(facts)

    def fit_all(self, run, home, workers=None, progress=None):
        self.call("train")
        assert run.has("protocol"), "the protocol is fixed before anything is trained"
        for arm in TRAINED_ARMS:
            (run.arm(arm, 0)).mkdir(parents=True, exist_ok=True)
            selection = {"rule": "the last step", "used_target_labels": False}
            record = {"arm": arm, "seed": 0, "weights_sha256": "0" * 64, "seconds": 1.0, "device": "cpu",
                      "target_labels_used": arm == "target_supervised", "selection": selection}  # fmt: skip
            (run.arm(arm, 0) / "train.json").write_text(json.dumps(record))

    def evaluate(self, run, home, progress=None):
        self.call("evaluate")
        lengths = dict.fromkeys(("nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "reference_volume_ml"))
        row = {"arm": "adapted", "seed": 0, "case": "b", "patient": "b", "structure": "prostate", "dice": 0.0, **lengths,
               "components": 0}  # fmt: skip
        reason = "error[SPACING_INVALID]: spacing 0 · positive"
        run.write("rows", [{**row, "status": "error", "reason": reason}, row | {"status": "ok"}])

    def build(self, run):
        self.call("report")
        run.report.mkdir(exist_ok=True)
        dice = {"dice": {"mean": 0.9, "ci": [0.8, 1.0], "n": 3, "n_failed": 0}}
        arms = {arm: {"prostate": dice} for arm in ("source_only", "adapted")}
        document = {"verdict": "pass", "summary": {**arms, "gap_closed": {"prostate": 0.9}, "gain_over_trivial": {}}}
        (run.report / "report.json").write_text(json.dumps(document))
        return run.report / "report.html"

    def rooms(self):
        return {
            "cohort": SimpleNamespace(ingest=self.ingest, load=lambda name, home: name, summary=self.summary),
            "train": SimpleNamespace(fit_all=self.fit_all, promote=lambda run, home, progress: self.call("promote")),
            "evaluate": SimpleNamespace(
                evaluate=self.evaluate,
                judged=lambda target: self.call("judged"),
                write_objects=lambda run, home, root, progress: self.call("objects"),
            ),
            "monitor": SimpleNamespace(keep=lambda run, home, progress: self.call("keep")),
            "reports": SimpleNamespace(build=self.build),
            "registry": SimpleNamespace(
                check_name=lambda home, name: None,
                log_run=lambda run, home: self.call("log"),
                register=lambda run, home: self.call("register") or {"name": "toy", "version": 1, "alias": "candidate"},
            ),
        }


@pytest.fixture
def library(monkeypatch, place):
    from xmed.app import adapt

    fake = Library()
    for name, room in fake.rooms().items():
        monkeypatch.setattr(adapt, name, room)
    return fake


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory):
    """One embedded Prefect server for this module."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path_factory.mktemp("home"))
    process_environment.prepare()
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield
    os.environ.clear()
    os.environ.update(before)


ORDER = [
    "ingest toy-mr",
    "ingest toy-us",
    "judged",
    "train",
    "promote",
    "evaluate",
    "objects",
    "keep",
    "report",
    "log",
    "register",
]


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
class TestUnderPrefect:
    def test_adapt_calls_the_library_in_its_order(self, study, place, library):
        from xmed_pipelines import adapt_flow

        result = adapt_flow.adapt(str(study))
        assert library.calls == ORDER
        assert result["registered"]["alias"] == "candidate"
        run = Run.find(result["run"], place)
        assert run.read("data")["target"]["name"] == "toy-us"
        assert run.read("environment")["device"] == "cpu"
        where = "adapted, seed 0, case b"
        assert run.read("errors") == [{"code": "SPACING_INVALID", "message": "spacing 0 · positive", "where": where}]

    def test_what_a_task_raises_comes_out_of_the_flow_as_it_is(self, study, library):
        from xmed_pipelines import adapt_flow

        library.raises["train"] = XmedError("TRAINING_DIVERGED", "step 3", "finite losses", "lower the rate")
        with pytest.raises(XmedError, match=r"^error\[TRAINING_DIVERGED\]: step 3 · finite losses · lower the rate$"):
            adapt_flow.adapt(str(study))
        assert "register" not in library.calls

    def test_a_run_that_fails_before_it_trains_leaves_no_folder(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["ingest toy-us"] = XmedError("NO_CASES", "toy-us: nothing left after quarantine")
        with pytest.raises(XmedError, match="NO_CASES"):
            adapt_flow.adapt(str(study))
        assert not (place / "runs").exists()

    def test_a_target_without_test_labels_is_refused_before_training(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["judged"] = XmedError("NO_CASES", "toy-us has no labelled test case")
        with pytest.raises(XmedError, match="NO_CASES"):
            adapt_flow.adapt(str(study))
        assert "train" not in library.calls
        assert not (place / "runs").exists()

    def test_a_run_that_fails_later_is_kept_and_can_be_resumed(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["evaluate"] = RuntimeError("out of memory")
        with pytest.raises(RuntimeError, match="out of memory"):
            adapt_flow.adapt(str(study))
        (folder,) = (place / "runs").iterdir()
        library.raises.clear()
        assert adapt_flow.adapt(str(study), resume=folder.name)["run"] == folder.name
        assert len(list((place / "runs").iterdir())) == 1

    def test_a_run_does_not_go_on_with_other_data_than_it_began_with(self, study, library):
        from xmed_pipelines import adapt_flow

        run = adapt_flow.adapt(str(study))["run"]
        library.fingerprint = "0" * 64
        with pytest.raises(XmedError, match=r"error\[DATA_CHANGED\]: source .*toy-mr.* has changed since run toy-"):
            adapt_flow.adapt(str(study), resume=run)

    def test_the_same_command_goes_on_with_a_run_that_was_interrupted(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["evaluate"] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            adapt_flow.adapt(str(study))
        (folder,) = (place / "runs").iterdir()
        library.raises.clear()
        library.calls.clear()
        assert adapt_flow.adapt(str(study))["run"] == folder.name
        assert library.calls == ORDER
        assert adapt_flow.adapt(str(study))["run"] != folder.name, "a finished run is finished"

    def test_a_run_whose_data_changed_since_it_was_interrupted_is_given_up(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["evaluate"] = RuntimeError("out of memory")
        with pytest.raises(RuntimeError):
            adapt_flow.adapt(str(study))
        (folder,) = (place / "runs").iterdir()
        library.raises.clear()
        library.fingerprint = "0" * 64
        assert adapt_flow.adapt(str(study))["run"] != folder.name
        assert "has changed since run" in Run(folder).read("ended")["given_up"]

    def test_a_study_may_come_whole_as_a_schedule_passes_it_on(self, study, library):
        from xmed_pipelines import adapt_flow

        from xmed.spec import load_study

        document = load_study(study).model_dump(mode="json")
        assert adapt_flow.adapt(document)["registered"]["name"] == "toy"
        assert adapt_flow.adapt.parameters.properties["study"]["$ref"].endswith("/Study")
        with pytest.raises(Exception, match=r"study\.budget\.steps"):
            adapt_flow.adapt({**document, "budget": {"steps": 0}})

    def test_ingest_takes_another_root(self, study, tmp_path, library):
        from xmed_pipelines import adapt_flow

        assert adapt_flow.ingest(str(tmp_path / "toy-mr.yaml"), tmp_path)["name"] == "toy-mr"
        assert library.calls == ["ingest toy-mr"]


def changed(study, old, new):
    study.write_text(study.read_text().replace(old, new))


def test_a_plan_checks_everything_and_writes_nothing(study, place):
    from xmed.app.plan import plan_study

    plan = plan_study(str(study), [3, 4, 3])
    assert plan.study.seeds == [3, 4]
    assert (plan.source.name, plan.target.name) == ("toy-mr", "toy-us")
    assert not place.exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{name: gin}", "{name: magic}", r"error\[METHOD_UNKNOWN\]: no method 'magic'.* · one of .*gin"),
        ("{name: gin}", "{name: gin, strength: 2}", r"error\[SPEC_INVALID\]: method gin: strength · hyper-parameters"),
        ("structures: [prostate]", "structures: [prostate, liver]", r"source toy-mr has no structure 'liver'"),
        ("[32, 32, 1]", "[30, 32, 1]", r"error\[SPEC_INVALID\]: grid.patch \[30, 32\] · edges that are multiples of 8"),
        ("method:", "network: {name: octopus}\nmethod:", r"error\[SPEC_INVALID\]: network 'octopus' · one of"),
        (
            "budget: {steps: 2",
            "budget: {step: 2",
            r"error\[SPEC_INVALID\]: .*toy.yaml: budget.step: no such key; did you mean 'steps'",
        ),
        ("toy-us.yaml", "toy-ct.yaml", r"error\[SPEC_NOT_FOUND\]: no dataset"),
    ],
)
def test_a_study_that_cannot_work_is_refused_before_anything_is_written(study, place, old, new, says):
    from xmed.app.plan import plan_study

    changed(study, old, new)
    with pytest.raises(XmedError, match=says):
        plan_study(str(study))
    assert not place.exists()


def test_label_maps_without_images_need_a_scene_that_exists(study, tmp_path, place):
    from xmed.app.plan import plan_study

    dataset = tmp_path / "toy-mr.yaml"
    changed(dataset, 'image: "{case}.nii.gz", ', "")
    with pytest.raises(XmedError, match=r"error\[METHOD_NEEDS\]: source toy-mr is label maps without images · `scene`"):
        plan_study(str(study))
    changed(dataset, "modality: MR", "modality: MR\nscene: feet")
    with pytest.raises(XmedError, match=r"error\[SPEC_INVALID\]: no scene 'feet'"):
        plan_study(str(study))
    changed(dataset, "scene: feet", "scene: heads")
    assert plan_study(str(study)).source.scene == "heads"


def test_a_missing_folder_is_refused_and_another_root_accepted(study, tmp_path, place):
    from xmed.app.plan import plan_study

    (tmp_path / "toy-us").rmdir()
    with pytest.raises(XmedError, match=r"error\[PATH_NOT_FOUND\]: dataset toy-us: no folder .*toy-us"):
        plan_study(str(study))
    assert plan_study(str(study), target_root=tmp_path).target.name == "toy-us"


def test_a_resumed_run_keeps_its_own_study_and_seeds(study, tmp_path, place):
    from xmed.app.plan import plan_study

    run = Run.create(plan_study(str(study)).study, place)
    changed(study, "steps: 2", "steps: 900")
    assert plan_study(str(study), resume=run.id).study.budget.steps == 2
    with pytest.raises(XmedError, match=r"error\[USAGE\]: --seeds with --resume"):
        plan_study(str(study), seeds=[1], resume=run.id)
    with pytest.raises(XmedError, match=r"error\[RUN_NOT_FOUND\]"):
        plan_study(str(study), resume="toy-gone")
