"""Train and evaluate: a whole small study, from NIfTI files to rows, twice the same, resumed the same."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from support.small_training import pieces, run, study  # noqa: F401
from xmed import metrics, train
from xmed.cohort import Cohort, ingest_cases, load_cohort
from xmed.errors import XmedError
from xmed.evaluate import evaluate, judged
from xmed.evaluate.trivial_baselines import mean_masks
from xmed.methods.bridge import Bridge
from xmed.model.deployed import Model
from xmed.networks import build_network, named_tensors
from xmed.prepare.study_samples import load_samples
from xmed.records.record import content
from xmed.records.selection import Selection
from xmed.run import Run
from xmed.tasks.trivial_masks import position_masks, threshold_masks
from xmed.train import arms, loop
from xmed.train.arm_data import Data


@pytest.mark.slow
def test_a_study_goes_from_files_to_rows_and_leaves_nothing_out(run, study):
    made, home = run
    notes = []
    train.fit_all(made, home, workers=2, progress=lambda *note: notes.append(note))
    assert made.arms() == [("source_only", 0), ("adapted", 0), ("target_supervised", 0)]
    trainings = {f"train {arm} seed 0" for arm, _ in made.arms()}
    assert {note[0] for note in notes} == trainings | {"choose adapted seed 0", "mirrored copies, seed 0"}
    for arm, seed in made.arms():
        record = json.loads((made.arm(arm, seed) / "train.json").read_text())
        assert record["deployable"] is (arm != "target_supervised")
        assert record["target_labels_used"] is (arm == "target_supervised")
        assert record["selection"]["used_target_labels"] is False
        assert (record["mirroring"] is not None) is (arm == "adapted")
        assert Model.load(made.arm(arm, seed) / "model").modality == "PT"
        with (made.arm(arm, seed) / "losses.csv").open() as file:
            rows = list(csv.DictReader(file))
        steps = 30 if arm != "adapted" else 30 + 12  # bridge has a second round
        assert [int(row["step"]) for row in rows] == list(range(1, steps + 1))
    check_promotion(made, home)
    rows = [content(row) for row in evaluate(made, home)]
    for arm in ("source_only", "adapted", "target_supervised", "trivial_threshold", "trivial_position"):
        found = [row for row in rows if row["arm"] == arm]
        assert sorted(row["case"] for row in found) == ["dark-e", "dark-f"]
        assert all(0 <= row["dice"] <= 1 for row in found)
    assert all("rule" in row for row in rows if row["arm"].startswith("trivial"))
    assert made.read("rows") == rows
    picture = np.load(made.pictures / "dark-e.npz")
    assert {"image", "truth", "adapted", "source_only", "target_supervised", "spacing"} <= set(picture)
    assert picture["truth"].shape == picture["adapted"].shape == (24, 24, 6)


def check_promotion(made, home):
    """Whether to adapt is decided before evaluation, from the same evidence whenever it is asked."""
    asked = []
    found = train.promote(made, home, progress=lambda *note: asked.append(note))
    assert found == made.read(Selection)
    found = made.read("selection")
    assert asked[-1] == ("select", 3, 3, found["reason"])
    assert found["used_target_labels"] is False
    assert [one["name"] for one in found["seeds"]["0"]["candidates"]] == ["source_only", "adapted"]
    assert found["promoted"] is (found["seeds"]["0"]["chosen"] == "adapted")
    kept = {arm: (made.arm(arm, 0) / "findings.json").stat().st_mtime_ns for arm in ("source_only", "adapted")}
    with_all = train.promote(made, home, arms=("source_only", "adapted", "target_supervised"))
    assert content(with_all) == found  # what saw target labels is left out, what was found is not looked for again
    assert kept == {arm: (made.arm(arm, 0) / "findings.json").stat().st_mtime_ns for arm in kept}
    card = (
        made.arm("adapted", 0) / "findings.json"
    )  # as an earlier version, with one validator fewer, would have left it
    stale = json.loads(card.read_text())
    del stale["scores"]["position"]
    card.write_text(json.dumps(stale))
    assert content(train.promote(made, home)) == found


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(run):
    made, home = run
    torch.set_num_threads(1)
    first = train.fit(made, "adapted", 0, home)
    weights = (first / "model" / "weights.safetensors").read_bytes()
    again = Run.create(made.study, home)
    assert (train.fit(again, "adapted", 0, home) / "model" / "weights.safetensors").read_bytes() == weights
    assert (train.fit(again, "adapted", 1, home) / "model" / "weights.safetensors").read_bytes() != weights


@pytest.mark.slow
def test_a_target_without_training_labels_is_adapted_to_and_judged_without_a_ceiling(run, tmp_path):
    made, home = run
    for case in "abc":
        (tmp_path / "dark" / "label" / f"dark-{case}.nii.gz").unlink()
    ingest_cases(load_cohort("dark", home).spec, home)
    train.fit_all(made, home)
    assert made.arms() == [("source_only", 0), ("adapted", 0)]
    assert {row.arm for row in evaluate(made, home)} >= {"source_only", "adapted", "trivial_threshold"}


def test_a_target_without_test_labels_is_refused_in_one_sentence(run, tmp_path):
    _, home = run
    target = load_cohort("dark", home)
    bare = replace(target, cases=tuple(replace(case, label=None) for case in target.cases))
    with pytest.raises(
        XmedError,
        match=r"error\[NO_CASES\]: found dark has no labelled test case · expected at least one .* · fix label a few",
    ):
        judged(bare)


@pytest.mark.slow
def test_a_model_enlarges_small_volumes_between_tomographs_and_only_if_its_method_asks(run, study, monkeypatch):
    made, home = run
    data = Data.of(study, study.method, home)
    origin = arms._origin(made, "adapted", 0, study.method, data)
    model = Model(
        build_network(study.network, 2, 1, 2).eval(), network=study.network, origin=origin, **data.seen_by_model
    )

    def sees(self, seen, quick=False):
        """A net that finds a ball in the middle of what it is shown enlarged, and else one in the corner."""
        p = np.zeros((2, *seen.image.shape), np.float32)
        p[(1, slice(9, 15), slice(9, 15)) if self.enlarges else (1, slice(6), slice(6))] = 1
        return np.stack([1 - p[1], p[1]])

    monkeypatch.setattr(Model, "probabilities", sees)
    monkeypatch.setattr("xmed.model.volume_enlargement.MIN_SHARED_AGREEMENT", 0.1)
    settled, record = arms._finalise(model, data, enlarge=True)
    assert settled.enlarges
    assert record.as_it_is < record.labelled
    assert record.as_it_is < record.enlarged
    assert arms._finalise(model, data) == (model, None)
    probe = replace(data.target, spec=data.target.spec.model_copy(update={"modality": "US"}))
    assert arms._finalise(model, replace(data, target=probe), enlarge=True) == (model, None)  # a hand holds it anywhere


def test_an_arm_that_fails_ends_the_others_and_says_why(run):
    made, home = run
    asked = made.read("study")
    made.write("study", {**asked, "budget": {"steps": 100000, "batch": 4}})
    (made.arm("adapted", 0) / "losses.csv").mkdir(parents=True)  # cannot be written: this arm fails at once
    with pytest.raises(OSError, match=r"losses\.csv"):
        train.fit_all(made, home, workers=2)
    assert made.arms() == []


def test_training_an_adapted_arm_opens_no_target_label(run, monkeypatch):
    made, home = run
    opened = []
    monkeypatch.setattr(Cohort, "label", _watched(Cohort.label, opened))
    train.fit(made, "adapted", 0, home)
    assert set(opened) == {"bright"}


def _watched(label, opened):
    return lambda cohort, case: opened.append(cohort.spec.name) or label(cohort, case)


def test_an_interrupted_training_ends_in_the_same_weights_as_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 5)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    expected = loop.train(*pieces(whole)).candidates[12]

    def stop(step, *_):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(*pieces(cut), progress=stop)
    resumed = loop.train(*pieces(cut)).candidates[12]
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    assert (whole / "losses.csv").read_text() == (cut / "losses.csv").read_text()


@pytest.mark.parametrize("cut_at", [11, 13, 16])
def test_a_second_round_begins_as_what_the_first_would_deploy_and_goes_on_where_it_was_cut(
    tmp_path, monkeypatch, cut_at
):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 1)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    parts, began = list(pieces(whole, rounds=2)), []
    monkeypatch.setattr(parts[0], "start_round", lambda: (Bridge.start_round(parts[0]), began.append(_copy(parts[0]))))
    expected = loop.train(*parts).candidates
    assert list(expected) == [8, 12, 17]  # 65 % and the end of 12 steps, and the end of two fifths as many
    ((student, teacher, taught_from),) = began
    assert all(torch.equal(student[name], expected[12][name]) for name in student)
    assert all(torch.equal(teacher[name], expected[12][name]) for name in teacher)
    assert taught_from == 0

    def stop(step, *_):
        if step == cut_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(*pieces(cut, rounds=2), progress=stop)
    resumed = loop.train(*pieces(cut, rounds=2)).candidates
    assert all(torch.equal(expected[step][name], resumed[step][name]) for step in expected for name in expected[step])
    assert (whole / "losses.csv").read_text() == (cut / "losses.csv").read_text()
    rows = list(csv.DictReader((whole / "losses.csv").open()))
    rates = [float(row["lr"]) for row in rows]
    assert max(rates[12:]) == pytest.approx(max(rates[:12]) / 2, rel=0.3)
    assert rates[11] < rates[12] < max(rates[12:])
    assert [bool(row["taught"]) for row in rows] == [False] * 8 + [True] * 9


def _copy(bridge):
    """Weights of student and teacher, and from which share of a round on there is teaching."""
    held = [
        {name: tensor.clone() for name, tensor in named_tensors(net).items()}
        for net in (bridge.net, bridge.teacher.net)
    ]
    return *held, float(bridge.teach_from)


def test_a_loss_that_is_not_a_number_stops_the_training_and_leaves_no_model(tmp_path):
    parts = list(pieces(tmp_path))
    parts[0].losses = lambda source, target: {"supervised": parts[0].net(source.image).sum() * float("nan")}
    with pytest.raises(XmedError, match=r"error\[TRAINING_DIVERGED\]: found step 1"):
        loop.train(*parts)


def test_the_baselines_find_what_they_can_and_know_nothing_of_the_target(run, study):
    _, home = run
    source, target = load_cohort("bright", home), load_cohort("dark", home)
    usually = mean_masks(load_samples(source, study, ["train"], labelled=True), [1])[1]
    seen = load_samples(target, study, ["test"], labelled=True)[0]
    assert usually.share == pytest.approx(4 / 3 * np.pi * 125 / 2 / (24 * 24 * 6), rel=0.3)
    found = dict(threshold_masks(seen, 1, usually.share))
    score = {rule: metrics.dice(mask == 1, seen.label == 1, seen.spacing) for rule, mask in found.items()}
    assert score["otsu, dark, largest component"] > 0.9
    assert score["otsu, bright, largest component"] < 0.2
    for rule, mask in position_masks(seen, 1, usually):
        assert metrics.dice(mask == 1, seen.label == 1, seen.spacing) > 0.4, rule
