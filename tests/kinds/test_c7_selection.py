"""C7: trivial baselines take part in label-free selection; where one of them is estimated best, nothing is registered."""

import io
import itertools
import json

import numpy as np
import pytest
from rich.console import Console

from support.chosen_dice import judged, run_of
from support.registrable_runs import STUDY, finished
from support.small_reports import report_with
from xmed import registry, train
from xmed.cohort import ingest_cases, summarise_cohorts
from xmed.console.tables import show_result
from xmed.io import write_nifti
from xmed.records.answers import AdaptedRun
from xmed.records.record import content
from xmed.run import Run
from xmed.spec import DatasetSpec, Study
from xmed.volume import Volume

BEST = "the mean source mask, which learns nothing, is estimated best without target labels: Dice 0.62 against 0.41"


def selection(best=True, promoted=False):
    """selection.json of a run, as selection leaves it where the mean mask is best."""
    reason = BEST if best else "adapted keeps every guard"
    return {"promoted": promoted, "reason": reason, "registered": not best, "used_target_labels": False, "seeds": {}}


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_nothing_is_registered_where_the_mean_mask_is_estimated_best(tmp_path):
    run = finished(tmp_path)
    run.write("selection", selection())
    found = registry.register(run, tmp_path)
    assert found.version is None
    assert found.alias is None
    assert found.not_registered == BEST
    assert registry.versions(tmp_path) == []
    out = io.StringIO()
    result = AdaptedRun(run="r", folder="f", report="p", registered=found)
    report = report_with()
    show_result(Console(file=out, width=200), result, report)
    assert "registered  nothing" in out.getvalue()
    assert BEST in out.getvalue()


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
def test_whatever_the_verdict_an_earlier_candidate_stays(tmp_path, verdict):
    before = registry.register(finished(tmp_path), tmp_path)
    run = finished(tmp_path, shift=1.0, verdict=verdict)
    run.write("selection", selection())
    assert registry.register(run, tmp_path).version is None
    (row,) = registry.versions(tmp_path)
    assert row.version == before.version
    assert "candidate" in row.aliases


@pytest.mark.parametrize("kept", ["promoted", "of before"])
def test_a_model_that_beats_them_is_registered(tmp_path, kept):
    run = finished(tmp_path, STUDY)
    made = selection(best=False, promoted=True)
    run.write("selection", made if kept == "promoted" else {"promoted": True, "reason": "leads"})
    assert registry.register(run, tmp_path).alias == "candidate"


def test_the_report_says_that_nothing_was_registered(tmp_path):
    run = run_of(tmp_path / "run")
    run.write("selection", selection())
    document = judged(run)
    assert any("nothing is registered" in one and BEST in one for one in document["banner"]["reasons"])
    assert document["selection"]["used_target_labels"] is False


def balls(tmp_path, wander, steps, cases=6):
    """A trained study of balls that lie `wander` voxels apart at most, and its home."""
    study = Study.model_validate(
        {
            "name": "balls", "source": "bright", "target": "dark", "structures": ["ball"],
            "grid": {"spacing_mm": [1, 1, 2], "patch": [24, 24, 1]}, "network": {"channels": [4, 8, 8]},
            "method": {"name": "gin"}, "budget": {"steps": steps, "batch": 4}, "robustness": False,
            "protocol": {"primary": {"structure": "ball"}}, "register_as": "balls",
        }
    )  # fmt: skip
    home, cohorts = tmp_path / "home", []
    for name, inverted, modality, first in (("bright", False, "MR", 0), ("dark", True, "PT", 50)):
        split = {"train": [f"{name}-{n}" for n in range(cases)], "test": [f"{name}-x"]}
        for n, case in enumerate(itertools.chain(*split.values())):
            random = np.random.default_rng(first + n)
            centre = np.array([12, 12, 3]) + random.uniform(-wander, wander, 3) * (1, 1, 0)
            apart = np.linalg.norm((np.moveaxis(np.indices((24, 24, 6)), 0, -1) - centre) * (1, 1, 2), axis=-1)
            mask = (apart < 5).astype(np.uint8)
            image = random.normal(100, 8, mask.shape) + (-60.0 if inverted else 60.0) * mask
            for kind, array in (("image", image.astype(np.float32)), ("label", mask)):
                path = tmp_path / name / kind / f"{case}.nii.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_nifti(Volume(array, np.diag([1.0, 1, 2, 1])), path)
        document = {
            "name": name, "modality": modality, "root": str(tmp_path / name), "splits": split, "labels": {1: {"name": "ball"}},
            "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"},
        }  # fmt: skip
        cohorts.append(ingest_cases(DatasetSpec.model_validate(document), home))
    run = Run.create(study, home)
    run.write(summarise_cohorts(*cohorts))
    train.fit_all(run, home, workers=1)
    return run, home


@pytest.mark.slow
def test_nets_that_learned_nothing_are_held_against_a_mask_that_always_lies_right(tmp_path):
    run, home = balls(tmp_path, wander=0, steps=2)
    found = content(train.promote(run, home))
    assert found["promoted"] is False
    assert found["used_target_labels"] is False
    assert "learns nothing" in found["reason"]
    assert found["registered"] is False
    assert json.loads((run.folder / "selection.json").read_text()) == found
    assert content(train.promote(run, home)) == found
