"""What a drift check compares: a reference of numbers alone, patients like it, and an evaluated run to make one from."""

import json

import numpy as np
import pytest

from support.validated_model import GRID, NETWORK, balls
from xmed import monitor
from xmed.evaluate import evaluate
from xmed.files.digest import file_digest
from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.model.folder import WEIGHTS
from xmed.monitor import alarm
from xmed.monitor.measure import unlinked
from xmed.networks import build_network
from xmed.records.drift import (
    CheckedInput,
    CheckedModel,
    DriftCheck,
    Measurements,
    RefusedCase,
    ValidationReference,
)
from xmed.records.model_card import ModelOrigin
from xmed.records.record import content
from xmed.run import Run
from xmed.spec import Study

TRIED = alarm.simulated({}, {}, 0)
STUDY = {
    "name": "balls", "source": "none-here", "target": "clinic-pet", "structures": ["ball"],
    "grid": {"spacing_mm": [1, 1, 2], "patch": [16, 16, 1]}, "network": {"name": "unet", "channels": [4, 8, 8]},
    "method": {"name": "gin"}, "seeds": [0], "protocol": {"primary": {"structure": "ball"}}, "register_as": "balls",
}  # fmt: skip


def patient(random, move=0.0, vendor="GE", unsure=0.0):
    """Measurements as `measured` makes them, around the same middle for everybody."""
    numbers = {
        "acquisition": {"extent_max": 100 + random.normal(), "spacing_max": 3.0},
        "intensities": {"mean": 5 + move + random.normal(0, 0.5), "sd": 1 + random.normal(0, 0.1)},
        "texture": {"grain_mean": 1 + random.normal(0, 0.1)},
        "volumes": {"ball": 30 + random.normal()},
        "confidence": {"ball": 0.85 - unsure + random.normal(0, 0.02)},
    }
    embedding = (random.normal(0, 1, 8) + move).tolist()
    return Measurements(numbers=numbers, categories={"vendor": vendor}, embedding=embedding)


def crowd(n, seed, **changes):
    random = np.random.default_rng(seed)
    return {f"p{seed}-{k}": patient(random, **changes) for k in range(n)}


def reference(n=12, errors=10, refused=0):
    pool = crowd(n, 1)
    document = {
        "schema": "xmed-reference/1", "of": "0" * 64, "weights_sha256": "a" * 64, "modality": "PT", "credible": True,
        "rule": alarm.RULE, "study": "balls", "run": "balls-1", "dataset": "clinic-pet",
        "fingerprint": "f" * 64, "structures": ["ball"], "cases": n, "refused": refused, "patients": unlinked(pool),
        "errors": {"ball": [0.01 * k for k in range(errors)]}, "tau": 0.7, "simulation": TRIED,
    }  # fmt: skip
    return ValidationReference.model_validate(document)


def about(cases):
    return {
        "created": "2026-01-01T00:00:00+00:00",
        "model": {"reference": "models:/balls/1", "study": "balls", "weights_sha256": "a" * 64, "modality": "PT"},
        "input": {"name": "new", "cases": cases, "patients": cases, "fingerprint": "b" * 64},
    }


def composed(about, reference, new, refused):
    """A check as the plain JSON document that drift.json contains."""
    check = monitor.compose_drift_check(
        about["created"],
        CheckedModel.model_validate(about["model"]),
        CheckedInput.model_validate(about["input"]),
        reference,
        new,
        [RefusedCase.model_validate(case) for case in refused],
    )
    return content(check)


def built(document, folder):
    """Write drift.json and the page of a plain JSON document."""
    return monitor.build_drift_check(DriftCheck.model_validate(document), folder)


REFUSED = [{"case": f"bad-{n}", "code": "SLICE_GAP", "message": "slice 7 is missing"} for n in range(5)]


@pytest.fixture
def run(tmp_path, home, unguarded):
    """An evaluated run of an untrained net."""
    cases = {"train": [f"t{n}" for n in range(4)], "test": [f"e{n}" for n in range(5)]}
    _, target = balls(tmp_path, "clinic-pet", cases, 40, home)
    run = Run.create(Study.model_validate(STUDY), home)
    card = {"study": "balls", "run": run.id, "seed": 0, "method": "gin", "deployable": True, "hyperparameters": {}}
    table = LabelTable((Structure(1, "ball"),))
    folder = Model(
        build_network(NETWORK, 2, 1, 2, 0).eval(), GRID, NETWORK, "PT", table, origin=ModelOrigin.model_validate(card)
    ).save(run.arm("adapted", 0) / "model")
    (folder.parent / "train.json").write_text(json.dumps({"weights_sha256": file_digest(folder / WEIGHTS), "seed": 0}))
    run.write("data", {side: {"fingerprint": target.fingerprint} for side in ("source", "target")})
    evaluate(run, home)
    return run
