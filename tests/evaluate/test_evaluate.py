"""Evaluate: rows carry what certainty, causes and verification need; disturbed volumes; measured again, the same."""

import itertools
import json

import numpy as np
import pytest

from support.evaluated_runs import trained
from xmed import metrics, report
from xmed.cohort import ingest_cases, load_cohort, summarise_cohorts
from xmed.errors import XmedError
from xmed.evaluate import evaluate, evaluate_run, perturbations, remeasure
from xmed.evaluate.reference import placement
from xmed.files.digest import array_digest
from xmed.io import write_nifti
from xmed.model.prediction import Prediction
from xmed.prepare import make_sample
from xmed.records.evaluation import CalibrationSums
from xmed.records.record import content
from xmed.run import Run
from xmed.spec import DatasetSpec, GridSpec, Study
from xmed.volume import Grid, Volume

SHAPE, SPACING = (24, 22, 6), (1.0, 1.5, 2.0)
ASKED = {
    "name": "balls", "source": "bright", "target": "dark", "structures": ["ball"],
    "grid": {"spacing_mm": [1, 1.5, 2], "patch": [24, 22, 1]}, "network": {"channels": [4, 8, 8]},
    "method": {"name": "gin"}, "budget": {"steps": 3, "batch": 4}, "register_as": "balls",
    "protocol": {"primary": {"structure": "ball"}, "accept": {"dice": 0.5}},
}  # fmt: skip


def ball(seed, bright):
    random = np.random.default_rng(seed)
    centre = np.array([12, 11, 3]) + random.uniform(-2, 2, 3) * (1, 1, 0.3)
    apart = np.linalg.norm((np.moveaxis(np.indices(SHAPE), 0, -1) - centre) * SPACING, axis=-1)
    mask = (apart < 5).astype(np.uint8)
    return (random.normal(100, 8, SHAPE) + bright * 60.0 * mask).astype(np.float32), mask


def thresholded(model, volume):
    """What stands for a model here: dark voxels, as likely as they are dark."""
    if model == "broken":
        raise XmedError("MODALITY_MISMATCH", "a broken model")
    p = 1 / (1 + np.exp((volume.array - 70) / 6)).astype(np.float32)
    seen = make_sample("x", volume, GridSpec(spacing_mm=SPACING, patch=(24, 22, 1)))
    both = np.stack([1 - p, p])
    assert seen.grid.shape == volume.array.shape
    label = ((p > 0.5) & volume.inside).astype(np.uint8)
    return Prediction(volume.with_array(label), both, seen)


@pytest.fixture
def run(tmp_path, unguarded, monkeypatch):
    """Two small cohorts with a study of two arms, judged by a threshold in place of trained models; and their home."""
    home = tmp_path / "home"
    splits = {"train": ["a", "b"], "test": ["c", "d"]}
    for name, bright, modality, first in (("bright", 1, "MR", 0), ("dark", -1, "PT", 50)):
        for n, case in enumerate(itertools.chain(*splits.values())):
            for kind, array in zip(("image", "label"), ball(first + n, bright)):
                path = tmp_path / name / kind / f"{case}{name}.nii.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_nifti(Volume(array, np.diag([*SPACING, 1.0])), path)
        found = {split: [f"{case}{name}" for case in cases] for split, cases in splits.items()}
        document = {
            "name": name, "modality": modality, "root": str(tmp_path / name), "splits": found,
            "labels": {1: {"name": "ball"}}, "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"},
        }  # fmt: skip
        ingest_cases(DatasetSpec.model_validate(document), home)
    made = Run.create(Study.model_validate(ASKED), home)
    made.write(summarise_cohorts(load_cohort("bright", home), load_cohort("dark", home)))
    for arm in ("source_only", "adapted"):
        trained(made.arm(arm, 0), arm, 0)
        weights = made.arm(arm, 0) / "model" / "weights.safetensors"
        weights.parent.mkdir()
        weights.write_bytes(arm.encode())
    monkeypatch.setattr(evaluate_run.Model, "load", lambda folder: "broken" if "source_only" in str(folder) else "good")
    monkeypatch.setattr(evaluate_run, "segment", thresholded)
    monkeypatch.setattr(perturbations, "adapts_at_test_time", lambda model: False)
    monkeypatch.setattr(perturbations, "predict", lambda model, volume: thresholded(model, volume).label)
    return made, home


def plain(rows):
    return [content(row) for row in rows]


def of(rows, arm):
    return [row for row in rows if row["arm"] == arm]


def test_rows_carry_what_certainty_causes_and_verification_need(run):
    made, home = run
    rows = plain(evaluate(made, home))
    for row in of(rows, "adapted"):
        assert row["dice"] > 0.9
        assert 0.5 < row["confidence"] <= 1
        assert metrics.Calibration.from_record(CalibrationSums(**row["calibration"])).n > 0
        assert (row["centre_inside"], row["reference_empty"]) == (True, False)
        assert row["centre_off_mm"] < 1
        with np.load(made.arm("adapted", 0) / evaluate_run.LABELS) as kept:
            assert array_digest(kept[f"case.{row['case']}"]) == row["prediction_sha256"]
    for row in of(rows, "source_only"):
        assert (row["status"], row["dice"], row["prediction_sha256"]) == ("error", 0.0, None)
    assert set(made.read("reference")["cdark"]) == {"mean", "sd", "p05", "p50", "p95", "in_view"}


def test_an_evaluated_run_becomes_a_report_that_verifies(run):
    made, home = run
    evaluate(made, home)
    made.write("environment", {})
    made.write("errors", [])
    report.write_report(made)
    assert report.verify_report(made.folder) == []
    found = content(report.read_report(made.report))
    assert found["verdict"] == "pass"
    assert found["robustness"]["n_cases"] == 2
    assert found["summary"]["source_only"]["ball"]["dice"]["n_failed"] == 2


@pytest.mark.parametrize("how", ["swapped", "flipped"])
def test_masks_changed_with_every_digest_made_to_fit_are_found_by_measuring_again(run, how):
    made, home = run
    rows = plain(evaluate(made, home))
    assert remeasure(made, home) == []
    path = made.arm("adapted", 0) / evaluate_run.LABELS
    maps = dict(np.load(path))
    one, other = (f"case.{case}" for case in ("cdark", "ddark"))
    changed = {one: maps[other], other: maps[one]} if how == "swapped" else {one: maps[one][::-1], other: maps[other]}
    np.savez_compressed(path, **changed)
    for row in of(rows, "adapted"):
        row["prediction_sha256"] = array_digest(changed[f"case.{row['case']}"])
    made.write("rows", rows)
    made.write("environment", {})
    made.write("errors", [])
    report.write_report(made)
    assert report.verify_report(made.folder) == []  # every file agrees with every other
    problems = remeasure(made, home)
    assert any(line.startswith("adapted, seed 0, cdark, ball: dice is ") for line in problems)


def test_a_kept_prediction_that_is_gone_is_named(run):
    made, home = run
    evaluate(made, home)
    (made.arm("adapted", 0) / evaluate_run.LABELS).unlink()
    assert "adapted, seed 0, cdark: the prediction is gone" in remeasure(made, home)


def test_a_study_may_leave_robustness_out_and_a_model_may_have_no_source_here(run):
    made, home = run
    made.write("study", {**made.read("study"), "robustness": False, "source": "unknown"})
    rows = plain(evaluate(made, home))
    assert not made.has("robustness")
    assert {row["arm"] for row in rows} == {"source_only", "adapted"}


def test_disturbances_are_measured_once_and_the_same_again(run):
    made, home = run
    evaluate(made, home)
    first = made.read("robustness")
    assert len(first["rows"]) == 2 * (1 + 5 * 3)
    assert evaluate(made, home)
    assert made.read("robustness") == first
    made.write("robustness", {**first, "of": "", "rows": []})
    evaluate(made, home)
    assert made.read("robustness") == first
    json.dumps(first, allow_nan=False)


def test_what_learns_anew_for_every_volume_is_disturbed_once(run, monkeypatch):
    made, home = run
    monkeypatch.setattr(perturbations, "adapts_at_test_time", lambda model: True)
    evaluate(made, home)
    assert len(made.read("robustness")["cases"]) == 1


# --- what each disturbance does


@pytest.fixture
def pair():
    image, mask = ball(3, -1)
    affine = np.diag([*SPACING, 1.0])
    return Volume(image, affine, modality="PT"), Volume(mask, affine)


def change(name, pair, level):
    image, label = perturbations.DISTURBANCES[name][0](*pair, level, np.random.default_rng(0))
    assert image.grid.same(pair[0].grid)
    assert image.array.shape == label.array.shape
    assert np.isfinite(image.array).all()
    return image, label


@pytest.mark.parametrize(
    ("name", "none"), [("noise", 0.0), ("gain", 1.0), ("resolution", 1.0), ("crop", 0.0), ("rotation", 0.0)]
)
def test_a_disturbance_of_no_strength_changes_nothing(pair, name, none):
    image, label = change(name, pair, none)
    np.testing.assert_array_equal(label.array, pair[1].array)
    if name != "gain":  # which clips what lies below its first percentile
        np.testing.assert_allclose(image.array, pair[0].array, atol=1e-3)


@pytest.mark.parametrize("name", list(perturbations.DISTURBANCES))
def test_every_disturbance_grows_with_its_level(pair, name):
    levels = perturbations.DISTURBANCES[name][2]
    apart = [float(np.abs(change(name, pair, level)[0].array - pair[0].array).mean()) for level in levels]
    assert 0 < apart[0] < apart[1] < apart[2]


def test_truth_turns_and_is_cut_with_its_image(pair):
    image, label = change("rotation", pair, 20)
    dark = (image.array < 70) & image.inside
    assert metrics.dice(dark, label.array > 0, SPACING) > 0.85
    assert metrics.dice(dark, pair[1].array > 0, SPACING) < metrics.dice(dark, label.array > 0, SPACING)
    image, label = change("crop", pair, 0.4)
    assert 0 < label.array.sum() < pair[1].array.sum()
    assert not label.array[~image.inside].any()


def test_a_picture_of_one_slice_is_disturbed_as_well():
    random = np.random.default_rng(0)
    array = random.uniform(0, 200, (32, 30, 1)).astype(np.float32)
    pair = Volume(array, np.eye(4), modality="US"), Volume((array > 100).astype(np.uint8), np.eye(4))
    for name, (_, _, levels, _) in perturbations.DISTURBANCES.items():
        assert change(name, pair, levels[-1])[0].array.shape == (32, 30, 1)


# --- where a prediction lies


def test_place_is_told_by_centre_box_and_pieces():
    grid, true = Grid((20, 20, 4), np.diag([2.0, 1.0, 1.0, 1.0])), np.zeros((20, 20, 4), dtype=bool)
    true[4:8, 4:8] = True
    beside = np.roll(true, 6, axis=0)
    found = placement(beside, true, grid, credible=True)
    assert found == {"centre_off_mm": pytest.approx(12.0), "centre_inside": False, "largest_share": 1.0}
    pieces = true.copy()
    pieces[15:17, 15:17] = True  # 16 voxels beside 64
    assert placement(pieces, true, grid, credible=True)["largest_share"] == pytest.approx(0.8)
    assert placement(true, true, grid, credible=False) == {
        "centre_off_mm": None,
        "centre_inside": True,
        "largest_share": 1.0,
    }
    nothing = dict.fromkeys(("centre_off_mm", "centre_inside", "largest_share"))
    assert placement(true & False, true, grid, credible=True) == nothing
