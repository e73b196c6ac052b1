"""Runs as they are when a model of theirs may be registered, without training: three numbers for weights, a report."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from xmed.files.digest import digest, folder_digest
from xmed.records.record import content
from xmed.run import Run
from xmed.spec import Study

STUDY = Study.model_validate(
    {
        "name": "toy",
        "source": "toy-mr",
        "target": "toy-us",
        "structures": ["prostate", "bladder"],
        "grid": {"spacing_mm": [1, 1, 1], "patch": [32, 32, 1]},
        "method": {"name": "bridge", "strength": 0.5},
        "budget": {"steps": 3, "batch": 2},
        "seeds": [0, 1],
        "protocol": {"primary": {"metric": "dice", "structure": "prostate"}},
        "register_as": "toy-prostate-us",
    }
)


class FakeModel:
    """Stands in for xmed.model.prediction.Model: reads the safetensors it was saved with, and adds them to the image."""

    def __init__(self, shift):
        self.shift = shift

    @classmethod
    def load(cls, folder):
        return cls(load_file(Path(folder) / "weights.safetensors")["shift"])

    def logits(self, image):
        return torch.cat([image + float(s) for s in self.shift], dim=1)


def train(run, arm, seed, deployable=True, shift=0.0):
    folder = run.arm(arm, seed)
    (folder / "model").mkdir(parents=True)
    save_file({"shift": np.arange(3, dtype=np.float32) + np.float32(shift)}, folder / "model" / "weights.safetensors")
    sha = hashlib.sha256((folder / "model" / "weights.safetensors").read_bytes()).hexdigest()
    card = {
        "weights_sha256": sha,
        "deployable": deployable,
        "grid": STUDY.grid.model_dump(mode="json"),
        "network": STUDY.network.model_dump(mode="json"),
        "modality": "US",
        "window": None,
        "largest_component": False,
        "structures": [{"value": 1, "name": "prostate"}, {"value": 2, "name": "bladder"}],
    }
    (folder / "model" / "model.json").write_text(json.dumps(card))
    (folder / "losses.csv").write_text("step,supervised,late,total,lr\n1,0.9,,0.9,0.001\n2,0.5,0.1,0.6,0.001\n")
    trained = {"arm": arm, "seed": seed, "method": "bridge", "hyperparameters": {"strength": 0.5}, "steps": 3}
    used = arm == "target_supervised"
    trained |= {"batch": 2, "seconds": 1.5, "parameters": 3, "network": {"name": "unet", "channels": [8, 16]}}
    trained |= {"target_labels_used": used, "deployable": deployable, "weights_sha256": sha}
    trained |= {"model_sha256": folder_digest(folder / "model")}
    (folder / "train.json").write_text(json.dumps(trained))


def case(n, dice, status="ok"):
    return {
        "case": f"c{n}",
        "patient": f"p{n}",
        "status": status,
        "metrics": {"prostate": {"dice": dice, "failed": False}},
    }


CASES = [case(n, 0.8) for n in range(3)]


def report(run, **changes):
    """report.json and report.html as they stand in a run's folder; changes: keys of the document."""
    dice = {"mean": 0.8, "ci": [0.7, 0.9], "n": 3, "n_failed": 0}
    document = {
        "schema": "xmed-report/1",
        "verdict": "pass",
        "study": run.read("study"),
        "protocol_sha256": run.read("protocol")["sha256"],
        "summary": {
            "source_only": {"prostate": {"dice": {**dice, "mean": 0.1}}},
            "adapted": {"prostate": {"dice": dice, "nsd": {"mean": None, "reason": "no credible spacing"}}},
            "gap_closed": {"prostate": 0.9, "bladder": None},
            "gain_over_trivial": {"prostate": 0.2},
        },
        "cases": CASES,
        **changes,
    }
    document = {"report_id": digest(document), **document, "signoff": [content(line) for line in run.signoff]}
    run.report.mkdir(exist_ok=True)
    (run.report / "report.json").write_text(json.dumps(document))
    (run.report / "report.html").write_text("<!doctype html><title>toy</title>")


def finished(home, study=STUDY, shift=0.0, **changes):
    """A run of all seeds with data.json and a report; `shift` makes other weights of them."""
    run = Run.create(study, home)
    for seed in study.seeds:
        train(run, "adapted", seed, shift=shift)
        train(run, "target_supervised", seed, deployable=False)
    sides = {"source": ("toy-mr", "a" * 64), "target": ("toy-us", "b" * 64)}
    run.write("data", {side: {"name": n, "fingerprint": f, "source": ""} for side, (n, f) in sides.items()})
    report(run, **changes)
    return run


def verify(folder):
    """What stands for xmed.report.verify_report here: the report says what it said when it was written."""
    found = json.loads((folder / "report" / "report.json").read_text())
    said = {key: value for key, value in found.items() if key not in ("report_id", "signoff")}
    return [] if digest(said) == found["report_id"] else ["report.cases[0].case: c9 stands there, the files give c0"]


def build(run):
    """What stands for xmed.report.write_report here: the sign-offs are shown."""
    found = json.loads((run.report / "report.json").read_text())
    (run.report / "report.json").write_text(json.dumps({**found, "signoff": [content(line) for line in run.signoff]}))
