"""A stand-in for the rooms that read, train and evaluate, and a Prefect server, for tests of the flows."""

import json
import os
from types import SimpleNamespace

import pytest

from support.ready_databases import prefect_harness
from support.small_reports import small_document
from xmed.records.data_summary import DataSummary
from xmed.records.run_state import RegisteredVersion
from xmed.run import TRAINED_ARMS
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

    def ingest(self, spec, home, *, data_root=None, progress=None, generate=None, read_shards=None):
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
            record = {
                "arm": arm, "seed": 0, "weights_sha256": "0" * 64, "seconds": 1.0, "device": "cpu",
                "target_labels_used": arm == "target_supervised", "selection": selection,
            }  # fmt: skip
            (run.arm(arm, 0) / "train.json").write_text(json.dumps(record))

    def evaluate(self, run, home, progress=None):
        self.call("evaluate")
        lengths = dict.fromkeys(("nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "reference_volume_ml"))
        row = {
            "arm": "adapted", "seed": 0, "case": "b", "patient": "b", "structure": "prostate", "dice": 0.0, **lengths,
            "components": 0,
        }  # fmt: skip
        reason = "error[SPACING_INVALID]: spacing 0 · positive"
        run.write("rows", [{**row, "status": "error", "reason": reason}, row | {"status": "ok"}])

    def write_report(self, run):
        self.call("report")
        run.report.mkdir(exist_ok=True)
        dice = {"dice": {"mean": 0.9, "ci": [0.8, 1.0], "n": 3, "n_failed": 0}}
        arms = {arm: {"prostate": dice} for arm in ("source_only", "adapted")}
        document = small_document(summary={**arms, "gap_closed": {"prostate": 0.9}, "gain_over_trivial": {}})
        (run.report / "report.json").write_text(json.dumps(document))
        return run.report / "report.html"

    def register(self, run, home):
        self.call("register")
        return RegisteredVersion(name="toy", version=1, alias="candidate")

    def rooms(self):
        return {
            "cohort": SimpleNamespace(
                ingest_cases=self.ingest, load_cohort=lambda name, home: name, summarise_cohorts=self.summary
            ),
            "train": SimpleNamespace(fit_all=self.fit_all, promote=lambda run, home, progress: self.call("promote")),
            "evaluate": SimpleNamespace(
                evaluate=self.evaluate,
                judged=lambda target: self.call("judged"),
                write_objects=lambda run, home, root, progress: self.call("objects"),
            ),
            "monitor": SimpleNamespace(keep=lambda run, home, progress: self.call("keep")),
            "reports": SimpleNamespace(write_report=self.write_report),
            "registry": SimpleNamespace(
                check_name=lambda home, name: None,
                log_run=lambda run, home: self.call("log"),
                register=self.register,
            ),
        }


@pytest.fixture
def library(monkeypatch, place):
    from xmed.app import adapt, read_dataset

    fake = Library()
    for name, room in fake.rooms().items():
        monkeypatch.setattr(adapt, name, room)
    monkeypatch.setattr(read_dataset, "cohort", adapt.cohort)
    return fake


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory, prefect_database):
    """One embedded Prefect server for this module."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path_factory.mktemp("home"))
    process_environment.prepare_environment()
    with prefect_harness(prefect_database):
        yield
    os.environ.clear()
    os.environ.update(before)
