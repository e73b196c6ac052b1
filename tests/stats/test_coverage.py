"""Coverage, failure detection, conformal intervals: golden values, and no luck from the order of rows."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import roc_auc_score

from xmed import stats

CONFIDENCE, RISK = [0.9, 0.8, 0.7, 0.6], [0.05, 0.30, 0.10, 0.40]


def test_the_areas_of_four_cases_by_hand():
    """§1.6: both definitions of AURC, and AUGRC."""
    found = stats.risk_coverage_curve(CONFIDENCE, RISK)
    assert found.aurc_trapezoid == pytest.approx(0.1140625)
    assert found.aurc_mean == pytest.approx(0.146875)
    assert (found.e_aurc_trapezoid, found.e_aurc_mean) == pytest.approx((0.025, 0.025))
    assert found.augrc == pytest.approx(0.0796875)
    assert found.augrc_ideal < found.augrc < found.augrc_random
    assert (found.risk_at(0.8), found.risk_at(0.5)) == (pytest.approx(0.2125), pytest.approx(0.175))


def test_equally_sure_cases_give_one_number_in_every_order_and_it_is_their_mean():
    """T20: code of this field gives 0.1875 or 0.5625 for the same tied data."""
    risks = [0.0, 0.5, 1.0, 0.2]
    tied = {round(stats.risk_coverage_curve([0.5] * 4, order).aurc_mean, 12) for order in permutations(risks)}
    assert len(tied) == 1
    orders = [stats.risk_coverage_curve([4, 3, 2, 1], order) for order in permutations(risks)]
    found = stats.risk_coverage_curve([0.5] * 4, risks)
    for area in ("augrc", "aurc_mean", "aurc_trapezoid"):
        assert getattr(found, area) == pytest.approx(np.mean([getattr(one, area) for one in orders]))
    assert found.augrc == pytest.approx(found.augrc_random)
    assert "as sure as every other" in found.degenerate


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=12), st.randoms())
def test_rows_may_come_in_any_order_and_no_order_beats_the_ideal(rows, random):
    found = stats.risk_coverage_curve(*zip(*rows))
    random.shuffle(rows)
    again = stats.risk_coverage_curve(*zip(*rows))
    assert again.augrc == pytest.approx(found.augrc, abs=1e-12)
    assert again.risk == pytest.approx(found.risk, abs=1e-12)
    assert found.augrc >= found.augrc_ideal - 1e-12
    assert found.undetected[-1] == pytest.approx(np.mean([risk for _, risk in rows]))


def test_nobody_has_no_area():
    found = stats.risk_coverage_curve([], [])
    assert found.augrc is found.aurc_mean is found.risk_at(0.9) is None


def test_the_operating_point_keeps_the_most_cases_that_stay_safe_enough():
    confidence, failed = [0.9, 0.8, 0.8, 0.7, 0.6, 0.5], [False, False, False, True, False, True]
    found = stats.operating_point(confidence, failed, most_failures=0.2)
    assert (found.threshold, found.n_kept, found.n_failed_kept) == (0.6, 5, 1)
    assert found.failures.hi > 0.2, "one failure of five may be many more"
    assert "flatters" in found.note
    strict = stats.operating_point(confidence, failed, most_failures=0.0)
    assert (strict.threshold, strict.n_kept) == (0.8, 3)
    assert stats.operating_point([0.9, 0.9], [True, False], 0.1).threshold is None
    assert stats.operating_point([], []).threshold is None


def test_failures_are_found_as_well_as_sklearn_says():
    random = np.random.default_rng(3)
    dice = random.uniform(0.2, 1, 60)
    confidence = np.round(dice + random.normal(0, 0.2, 60), 1)  # with ties
    found = stats.failure_detection(confidence, dice, 0.6)
    assert found.auroc == pytest.approx(roc_auc_score(dice < 0.6, -confidence))
    assert found.prevalence == (dice < 0.6).mean()
    bad = dice < 0.6
    rates = [((confidence[bad] <= c).mean(), (confidence[~bad] <= c).mean()) for c in np.unique(confidence)]
    assert found.fpr95 == min(false for true, false in rates if true >= 0.95)


@pytest.mark.parametrize(
    ("dice", "why"), [([0.9, 0.8], "no prediction failed"), ([0.1, 0.2], "every"), ([], "no case")]
)
def test_a_detector_without_failures_is_not_judged(dice, why):
    found = stats.failure_detection([0.5] * len(dice), dice, 0.6)
    assert found.auroc is found.fpr95 is None
    assert why in found.degenerate


def test_nine_scores_reach_ninety_per_cent_and_are_refused_ninety_five():
    """§1.6: .30, where the naive quantile is .22."""
    scores = [0.02, 0.05, 0.08, 0.10, 0.12, 0.15, 0.18, 0.20, 0.30]
    found = stats.conformal_interval(scores, 0.1)
    assert (found.half_width, found.k) == (0.30, 9)
    assert found.around(0.85) == (pytest.approx(0.55), 1.0)
    refused = stats.conformal_interval(scores, 0.05)
    assert refused.half_width is refused.around(0.85) is None
    assert refused.reason == "9 calibration cases are too few for 95%: 19 needed"
    assert stats.conformal_interval([*range(19)], 0.05).half_width == 18


def test_conformal_intervals_hold_as_often_as_they_promise():
    random, held = np.random.default_rng(0), []
    for _ in range(400):
        draws = random.exponential(1, 31)
        held.append(draws[30] <= stats.conformal_interval(draws[:30], 0.1).half_width)
    assert 0.87 <= np.mean(held) <= 0.95


def test_an_estimate_says_how_wrong_it_was_and_warns_when_the_data_are_others():
    errors, estimated = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1], [0.8, 0.9, 0.7, 0.75]
    good = stats.estimate_card("ATC", "select split", errors, estimated, [0.78, 0.85, 0.72, 0.7])
    assert (good.mae, good.coverage.value, good.warning) == (pytest.approx(0.035), 1.0, None)
    bad = stats.estimate_card("ATC", "select split", errors, [0.9] * 12, [0.3] * 12)
    assert "less often" in bad.warning
    moved = stats.mmd_test(np.arange(20.0), np.arange(100.0, 120.0))
    far = stats.estimate_card("ATC", "select split", errors, estimated, estimated, drift=moved)
    assert (far.exchangeable, far.warning) == (
        False,
        "new cases are not like those it was calibrated on: do not use this estimate",
    )
    few = stats.estimate_card("ATC", "select split", errors[:3], estimated, estimated)
    assert few.coverage is None
    assert "too few" in few.warning
