"""Oracle: weighted Spearman and regret against numbers worked out by hand."""

import numpy as np
import pytest

from xmed.select import oracle, regret, weighted_spearman


def test_weighted_spearman_by_hand():
    # ranks 1 2 3 and 1 3 2; weights max(dense rank / 3)² = 1/9, 1, 1; weighted means 46/19 both;
    # covariance -95/361, variances 266/361: -95/266 = -5/14
    assert weighted_spearman(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.9, 0.7])) == pytest.approx(-5 / 14)


def test_the_same_order_is_one_and_nothing_follows_from_a_constant():
    truth = np.array([0.2, 0.4, 0.9, 0.5])
    assert weighted_spearman(truth**3, truth) == pytest.approx(1)
    assert weighted_spearman(np.ones(4), truth) is None


def test_a_bad_model_ranked_first_costs_more_than_disorder_among_bad_ones():
    truth = np.arange(6.0)
    below, above = np.array([1, 0, 2, 3, 4, 5.0]), np.array([0, 1, 2, 3, 5, 4.0])
    assert weighted_spearman(below, truth) > weighted_spearman(above, truth)


def test_regret_is_what_the_choice_costs_and_equal_scores_share_it():
    assert regret(np.array([0.3, 0.9, 0.1]), np.array([0.8, 0.7, 0.2])) == pytest.approx(0.1)
    assert regret(np.array([0.9, 0.9, 0.1]), np.array([0.8, 0.6, 0.2])) == pytest.approx(0.1)


def test_every_validator_and_their_mean_rank_are_told_apart():
    dice = {("a", 0): 0.9, ("b", 0): 0.5, ("c", 0): 0.1}
    scores = [{"good": 3, "bad": 1, "part": 1}, {"good": 2, "bad": 2, "part": None}, {"good": 1, "bad": 3, "part": 0}]
    found = oracle(dict(zip(dice, scores)), dice)
    assert set(found) == {"good", "bad", "mean_rank"}  # a validator that a cell lacks is left out
    assert vars(found["good"]) == {"weighted_spearman": pytest.approx(1), "regret": 0, "n": 3}
    assert found["bad"].regret == pytest.approx(0.8)
    assert oracle({}, dice) == {}
