"""Checkpoint: the guards let improvement through and hold collapse, explosion and instability back."""

from dataclasses import replace

import numpy as np
import pytest

from support.threshold_model import model
from xmed.model import Model
from xmed.prepare import Sample
from xmed.select import Evidence, measure_candidate, select_checkpoint, volumes_to_measure
from xmed.volume import Grid

FIRST = Evidence(consistency=0.8, proxy=0.7, empty=[0.0], volume_ml=[40.0])
SOURCE = [[20.0, 60.0]]


def test_a_later_candidate_that_does_no_harm_is_deployed():
    chosen, verdicts = select_checkpoint([FIRST, replace(FIRST, consistency=0.82)], SOURCE)
    assert chosen == 1
    assert all(v.within_limits for v in verdicts)


@pytest.mark.parametrize(
    ("harm", "guard"),
    [
        ({"consistency": 0.5}, "consistency"),
        ({"proxy": 0.5}, "proxy_dice"),
        ({"empty": [0.9]}, "empty_share_1"),
        ({"volume_ml": [500.0]}, "volume_ml_1"),
        ({"volume_ml": [1.0]}, "volume_ml_1"),
    ],
)
def test_harm_is_held_back_and_named(harm, guard):
    chosen, verdicts = select_checkpoint([FIRST, replace(FIRST, **harm)], SOURCE)
    assert chosen == 0
    assert not verdicts[1].within_limits
    assert [name for name, g in verdicts[1].guards.items() if not g.ok] == [guard]


def test_a_single_candidate_is_deployed_whatever_its_evidence():
    assert select_checkpoint([replace(FIRST, volume_ml=[0.0])], SOURCE)[0] == 0


def case(bright: bool) -> Sample:
    random = np.random.default_rng(0)
    image = random.normal(0, 0.05, (32, 32, 6)).astype(np.float32)
    label = np.zeros(image.shape, np.uint8)
    label[10:20, 10:20, 1:5] = 1
    if bright:
        image[label == 1] = 3
    return Sample("c", image, np.ones(image.shape, bool), Grid(image.shape, np.diag([2.0, 2, 2, 1])), label)


def test_a_model_that_sees_the_structure_is_consistent_and_one_that_sees_nothing_is_not():
    seeing = measure_candidate(model(spacing=(2, 2, 2)), [case(True)], [], seed=0)
    blind = measure_candidate(model(spacing=(2, 2, 2)), [case(False)], [], seed=0)
    assert seeing.consistency > 0.95
    assert seeing.empty == [0.0]
    assert seeing.volume_ml == [pytest.approx(400 * 8 / 1000, rel=0.05)]
    assert blind.consistency == 0  # two empty masks agree on nothing: a collapse is not stability
    assert blind.empty == [1.0]
    assert seeing.proxy is None


def test_the_proxy_is_measured_on_held_out_source_and_never_on_target_labels():
    unlabelled = replace(case(True), label=None)
    found = measure_candidate(model(spacing=(2, 2, 2), modality="PT"), [unlabelled], [case(True)], seed=0)
    assert 0 <= found.proxy <= 1


@pytest.mark.parametrize(
    ("target", "held_out", "volumes"), [(1, 1, 1 + 4), (1, 0, 1), (12, 3, 12 + 12), (100, 100, 12 + 12)]
)
def test_a_candidate_is_measured_on_so_many_volumes_and_counts_each(target, held_out, volumes, monkeypatch):
    monkeypatch.setattr(Model, "probabilities", lambda *_, **__: np.zeros((2, *case(True).image.shape), np.float32))
    counted = []
    measure_candidate(
        model(spacing=(2, 2, 2)), [case(True)] * target, [case(True)] * held_out, seed=0,
        measured=lambda: counted.append(1),
    )  # fmt: skip
    assert len(counted) == volumes
    assert volumes_to_measure([case(True)] * target, [case(True)] * held_out) == volumes
