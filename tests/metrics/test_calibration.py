"""Calibration and confidence: proper scores, bins that no background dilutes, and sums that forget the voxels."""

import json

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from xmed import metrics
from xmed.errors import XmedError
from xmed.records.evaluation import CalibrationSums
from xmed.records.record import content

MM = (1.0, 1.0, 1.0)


def whole(p, y, **others):
    """The calibration of a row of voxels, all of them near the structure."""
    p, y = (np.asarray(x).reshape(1, 1, -1) for x in (p, y))
    return metrics.measure_calibration(p.astype(np.float64), np.ones(p.shape, bool), y.astype(bool), MM, **others)


def drawn(seed=0, n=4000, power=1.0):
    """Calibrated probabilities and what came of them; another power makes the model too sure or not sure enough."""
    random = np.random.default_rng(seed)
    p = random.uniform(0, 1, n)
    y = random.uniform(0, 1, n) < p
    return p**power / (p**power + (1 - p) ** power), y


def test_proper_scores_of_four_voxels_by_hand():
    found = whole([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    assert found.brier() == pytest.approx(0.158125)
    assert found.nll() == pytest.approx(log_loss([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
    p, y = drawn()
    assert whole(p, y).brier() == pytest.approx(brier_score_loss(y, p))


def test_the_calibration_error_is_that_of_fifteen_bins_closed_on_the_left():
    """T19: of two bins, 0.5 lies in the second; here of fifteen, 1/15 in the second, and 1 in the last."""
    p, y = drawn(power=2.0)
    bins = np.minimum(np.floor(p * 15), 14)
    expected = sum(abs(p[bins == b].mean() - y[bins == b].mean()) * (bins == b).mean() for b in range(15))
    assert whole(p, y).ece() == pytest.approx(expected)
    edge = whole([1 / 15, 1.0, 0.0], [1, 1, 0]).reliability()
    assert [row["n"] for row in (edge[0], edge[1], edge[14])] == [1, 1, 1]
    assert edge[1]["frequency"] == 1.0
    assert edge[2]["probability"] is None


def test_a_model_that_is_too_sure_is_seen_by_both_errors_and_a_calibrated_one_by_neither():
    good, bad = whole(*drawn()), whole(*drawn(power=3.0))
    assert good.ece() < 0.03 < 0.1 < bad.ece()
    assert good.ace() < 0.03 < 0.1 < bad.ace()
    assert good.brier() < bad.brier()
    assert good.nll() < bad.nll()


def test_adaptive_bins_hold_about_as_many_voxels_each_even_where_all_are_sure():
    random = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-random.normal(-6, 2, 6000)))
    y = random.uniform(0, 1, 6000) < p / 3  # three times too sure, all of it below a few per cent
    found = whole(p, y)
    order = np.argsort(p)
    exact = np.mean([abs(p[part].mean() - y[part].mean()) for part in np.array_split(order, 15)])
    assert found.ace() == pytest.approx(exact, rel=0.15)


def test_background_does_not_dilute_the_error():
    """§1.6: .162 near the structure, .0026 with 99 000 voxels of background."""
    random = np.random.default_rng(0)
    truth = np.zeros((60, 60, 40), bool)
    truth[20:30, 20:30, 15:25] = True
    p = np.clip(np.where(truth, 0.6, 0.02) + random.normal(0, 0.01, truth.shape), 0, 1)
    near = metrics.measure_calibration(p, p > 0.5, truth, MM)
    far = metrics.measure_calibration(p, p > 0.5, truth, MM, margin_mm=100.0)
    assert far.n == truth.size
    assert near.ece() > 3 * far.ece()


def test_the_region_is_a_margin_in_millimetres_and_at_least_a_voxel():
    mask = np.zeros((21, 21, 9), bool)
    mask[10, 10, 4] = True
    near = metrics.scored_region(mask, np.zeros_like(mask), (1.0, 2.0, 8.0), 5.0)
    assert near[:, 10, 4].sum() == 11
    assert near[10, :, 4].sum() == 5
    assert near[10, 10].sum() == 3
    assert not metrics.scored_region(np.zeros_like(mask), np.zeros_like(mask), MM).any()
    edge = np.zeros_like(mask)
    edge[0, 0, 0] = True
    assert metrics.scored_region(edge, mask, MM).sum() > 100


def test_cases_add_up_to_what_they_are_together():
    (p, y), (q, z) = drawn(1), drawn(2, power=2.0)
    pooled, together = whole(p, y) + whole(q, z), whole(np.concatenate([p, q]), np.concatenate([y, z]))
    for score in ("ece", "ace", "brier", "nll"):
        assert getattr(pooled, score)() == pytest.approx(getattr(together, score)())
    assert pooled.n == 8000


def test_a_summary_survives_being_written_down_and_is_small():
    found = whole(*drawn())
    text = json.dumps(content(found.as_record()), allow_nan=False)
    again = metrics.Calibration.from_record(CalibrationSums.model_validate_json(text))
    assert len(text) < 5000
    assert (again.ece(), again.ace(), again.brier(), again.nll()) == pytest.approx(
        (found.ece(), found.ace(), found.brier(), found.nll())
    )


def test_without_a_voxel_there_is_no_error():
    nothing = np.zeros((3, 3, 3), bool)
    found = metrics.measure_calibration(np.zeros((3, 3, 3)), nothing, nothing, MM)
    assert [score() for score in (found.ece, found.ace, found.brier, found.nll)] == [None] * 4
    assert (found + whole([0.5], [1])).n == 1


def test_soft_dice_confidence_by_hand():
    """§1.6: .7931, where the mean confidence is .76."""
    p = np.array([0.9, 0.8, 0.6, 0.4, 0.1]).reshape(1, 1, 5)
    assert metrics.soft_dice_confidence(p, p > 0.5) == pytest.approx(0.7931, abs=5e-5)
    assert metrics.soft_dice_confidence(np.zeros((2, 2, 2)), np.zeros((2, 2, 2), bool)) is None
    assert metrics.soft_dice_confidence(p, np.zeros(p.shape, bool)) == 0.0


def test_soft_dice_confidence_expects_the_dice_that_comes():
    random, expected, came = np.random.default_rng(0), [], []
    for _ in range(200):
        p = 1 / (1 + np.exp(-random.normal(0, 3, (8, 8, 8))))
        truth = random.uniform(0, 1, p.shape) < p
        expected.append(metrics.soft_dice_confidence(p, p > 0.5))
        came.append(metrics.dice(p > 0.5, truth, MM))
    assert np.mean(came) == pytest.approx(np.mean(expected), abs=0.01)


def test_an_ensemble_agrees_as_much_as_its_pairs_do():
    a, b = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    a[:2], b[1:3] = True, True
    assert metrics.pairwise_dice([a, a, b]) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert metrics.pairwise_dice([np.zeros_like(a)] * 2) == 1.0
    assert metrics.pairwise_dice([a]) is None


@pytest.mark.parametrize("p", [np.full((2, 2, 2), 3.0), np.full((2, 2, 2), np.nan), np.ones((2, 2, 2), int)])
def test_logits_are_no_probabilities(p):
    mask = np.ones((2, 2, 2), bool)
    for refused in (
        lambda: metrics.soft_dice_confidence(p, mask),
        lambda: metrics.measure_calibration(p, mask, mask, MM),
    ):
        with pytest.raises(XmedError, match="take the softmax first") as found:
            refused()
        assert found.value.code == "METRIC_INPUT"


def test_probabilities_of_another_grid_are_refused():
    p, mask = np.zeros((2, 2, 3)), np.zeros((2, 2, 2), bool)
    for refused in (
        lambda: metrics.soft_dice_confidence(p, mask),
        lambda: metrics.measure_calibration(p, mask, mask, MM),
    ):
        with pytest.raises(XmedError, match="both on one grid"):
            refused()
