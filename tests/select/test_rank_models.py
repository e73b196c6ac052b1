"""Ranking: guards and validators together choose the right model, and none where source-only is as good."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from support.threshold_model import Threshold, model
from xmed.prepare import Sample
from xmed.select import SOURCE, CandidateInputs, Findings, rank_models, select_model
from xmed.select.perturbed_volume import PlaneRotation
from xmed.select.unlabelled_measures import evenly_spread
from xmed.volume import Grid

SCORES = {"consistency": 0.8, "proxy": 0.6, "reverse": 0.7, "position": 0.4, "information": -0.5}
BLOB = np.zeros((12, 12, 6), np.uint8)
BLOB[3:8, 3:8, 1:4] = 1
PLAIN = Findings("source_only", SCORES, 0.9, [0.0], [40.0], 0.0, True, [BLOB])
SOURCE_ML = [[20.0, 60.0]]


def better(method="bridge", by=0.1, **changes):
    return replace(PLAIN, method=method, scores={v: s + by for v, s in SCORES.items()}, **changes)


def chosen(**models):
    return rank_models({SOURCE: PLAIN, **models}, SOURCE_ML)


def test_a_model_that_leads_by_every_validator_is_chosen_and_the_record_says_why():
    name, record = chosen(bridge=better())
    assert name == "bridge"
    assert record.adapt
    assert "bridge keeps every guard" in record.reason
    assert record.candidates[1].ranks == dict.fromkeys(SCORES, 1.0)


@pytest.mark.parametrize("by", [-0.1, 0.0, 0.02])
def test_a_model_that_is_no_better_is_not_chosen(by):
    name, record = chosen(bridge=better(by=by))
    assert name == SOURCE
    assert not record.adapt
    assert "does not lead by most" in record.reason


@pytest.mark.parametrize(
    ("harm", "guard"),
    [
        ({"source_dice": 0.3}, "source dice"),
        ({"empty": [0.9]}, "empty share 1"),
        ({"volume_ml": [500.0]}, "volume ml 1"),
        ({"volume_ml": [1.0]}, "volume ml 1"),
        ({"outside": 0.1}, "outside fov"),
        ({"scores": {v: s + 0.1 for v, s in SCORES.items()} | {"consistency": 0.5}}, "consistency"),
    ],
)
def test_a_guard_holds_back_whatever_the_validators_say(harm, guard):
    name, record = chosen(bridge=replace(better(), **harm))
    assert name == SOURCE
    assert f"bridge is held back by {guard}" in record.reason
    assert record.candidates[1].mean_rank is None


def test_source_only_is_what_there_is_even_where_a_guard_speaks_against_it():
    broken = replace(PLAIN, volume_ml=[0.0], empty=[1.0], source_dice=0.1)
    assert rank_models({SOURCE: broken}, SOURCE_ML)[0] == SOURCE
    assert (
        rank_models({SOURCE: replace(broken, scores=dict.fromkeys(SCORES, 0.0)), "gin": PLAIN}, SOURCE_ML)[0] == "gin"
    )


def test_half_of_the_validators_are_no_majority():
    scores = SCORES | {"consistency": 0.9, "reverse": 0.8, "proxy": 0.5, "information": -0.6}
    assert chosen(bridge=replace(PLAIN, scores=scores))[0] == SOURCE


def test_a_validator_on_whose_pictures_a_candidate_was_trained_counts_for_none():
    _, record = chosen(synth=better("synth"), bridge=better())
    assert "proxy" not in record.validators
    assert "proxy" in chosen(bridge=better())[1].validators


def test_a_validator_that_no_candidate_can_read_abstains():
    unread = {n: replace(one, scores=one.scores | {"proxy": p}) for n, one, p in
              [(SOURCE, PLAIN, 0.2), ("bridge", better(), 0.0)]}  # fmt: skip
    name, record = rank_models(unread, SOURCE_ML)
    assert record.validators == ["consistency", "reverse", "position", "information"]
    assert name == "bridge"


def test_a_validator_that_a_study_cannot_have_is_left_out():
    none = {SOURCE: replace(PLAIN, scores=SCORES | {"proxy": None}), "bridge": better()}
    assert rank_models(none, SOURCE_ML)[1].validators == ["consistency", "reverse", "position", "information"]


def test_agreement_needs_others_and_speaks_against_the_outsider():
    moved = np.roll(BLOB, 4, 0)
    _, record = chosen(bridge=better(), gin=better("gin"), mmd=better("mmd", labels=[moved]))
    scores = {c.name: c.scores["agreement"] for c in record.candidates}
    assert scores["mmd"] < min(scores[SOURCE], scores["bridge"], scores["gin"])
    assert "agreement" not in chosen(bridge=better())[1].candidates[1].scores


def test_a_crowd_that_fails_alike_does_not_outvote_the_one_that_sees():
    moved = np.roll(BLOB, 4, 0)
    crowd = {f"m{n}": better(f"m{n}", by=0.05, labels=[moved]) for n in range(12)}
    name, record = chosen(bridge=better(by=0.3), **crowd)
    agreeing = {c.name: c.scores["agreement"] for c in record.candidates}
    assert agreeing["bridge"] < agreeing["m0"]
    assert name == "bridge"


# Volumes with a bright organ beside a brighter, longer streak that is none, on a ramp of the coil.
TRUE_CUT = 1.0


def volume(seed: int) -> Sample:
    random = np.random.default_rng(seed)
    image = random.normal(0, 0.05, (40, 40, 6)).astype(np.float32)
    label = np.zeros(image.shape, np.uint8)
    i, j = random.integers(6, 12, 2)
    label[i : i + 10, j : j + 8, 1:5] = 1
    image[label == 1] = 2
    image[30:32, 2:38, 1:5] = 5
    return Sample(f"c{seed}", image, np.ones(image.shape, bool), Grid(image.shape, np.diag([2.0, 2, 2, 1])), label)


class Between(Threshold):
    """An organ is what is brighter than `low` and darker than `high`, with the same confidence everywhere."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.cut = nn.Parameter(torch.zeros(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        middle = image[:, image.shape[1] // 2]
        inside = ((middle > self.low) & (middle < self.high)).float() * 2 - 1
        return torch.stack([-inside, inside], 1) * 1.74 + self.cut  # 97 % sure of everything


NETS = {
    "right": Between(TRUE_CUT, 3.5),
    "collapsed": Between(90, 99),
    "over_segmented": Between(-0.2, 9),
    "confident_wrong": Between(3.5, 9),
}
TARGET = [replace(volume(n), label=None) for n in range(2)]
LABELLED = [volume(n) for n in range(10, 14)]
TRUE_ML = [[3.2, 2.56]]


def named(name):
    return model(spacing=(2, 2, 2), modality="PT", net=NETS[name])


@pytest.fixture(scope="module")
def found():
    bench = CandidateInputs.of(named("right"), TARGET, LABELLED, seed=0)
    return {name: bench.findings(named(name)) for name in NETS}


@pytest.mark.parametrize("trap", ["collapsed", "over_segmented", "confident_wrong"])
def test_no_trap_of_dense_labels_is_preferred_to_the_right_model(found, trap):
    assert rank_models({SOURCE: found["right"], "adapted": found[trap]}, TRUE_ML)[0] == SOURCE
    assert rank_models({SOURCE: found[trap], "adapted": found["right"]}, TRUE_ML)[0] == "adapted"


@pytest.mark.parametrize("trap", ["collapsed", "over_segmented", "confident_wrong"])
def test_the_validators_alone_rank_the_right_model_first(found, trap):
    blind = [replace(found[name], empty=[0.0], volume_ml=[3.0], source_dice=1.0) for name in ("right", trap)]
    assert rank_models({SOURCE: blind[1], "adapted": blind[0]}, TRUE_ML)[0] == "adapted"
    assert rank_models({SOURCE: blind[0], "adapted": blind[1]}, TRUE_ML)[0] == SOURCE


def test_what_lies_where_structures_usually_lie_scores_by_position_and_what_lies_elsewhere_does_not(found):
    position = {name: one.scores["position"] for name, one in found.items()}
    assert position["right"] > 0.5
    assert max(position[name] for name in found if name != "right") < 0.1


def test_pick_falls_back_to_source_only_where_every_adapted_model_is_broken():
    models = {SOURCE: named("right"), "gin": named("collapsed"), "bridge": named("over_segmented")}
    name, record = select_model(models, TARGET, LABELLED, TRUE_ML, seed=0)
    assert name == SOURCE
    assert not record.adapt
    assert [c.name for c in record.candidates] == list(models)


def test_pick_finds_the_one_right_model_among_broken_ones():
    models = {SOURCE: named("confident_wrong"), "gin": named("collapsed"), "bridge": named("right")}
    assert select_model(models, TARGET, LABELLED, TRUE_ML, seed=0)[0] == "bridge"


def test_no_label_of_the_target_is_needed_and_the_same_is_found_twice(found):
    again = CandidateInputs.of(named("right"), TARGET, LABELLED, seed=0).findings(named("right"))
    assert again == found["right"]


def test_a_turn_moves_image_and_label_alike():
    case = volume(0)
    turn = PlaneRotation.draw(case, np.random.default_rng(1))
    moved = turn.image(case)
    agree = (moved.image > TRUE_CUT) & (moved.image < 3.5), turn.label(case.truth) == 1
    assert 2 * (agree[0] & agree[1]).sum() / (agree[0].sum() + agree[1].sum()) > 0.85
    assert not np.array_equal(turn.label(case.truth), case.truth)


def test_few_volumes_are_spread_over_many():
    assert evenly_spread(20, 6) == [0, 4, 8, 11, 15, 19]
    assert evenly_spread(3, 6) == [0, 1, 2]
