"""Non-inferiority: decided on unrounded numbers, never from the lack of a difference, never without a reason for its margin."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, wilcoxon

from xmed import stats


def exact(n, mean, sd):
    x = np.random.default_rng(n).standard_normal(n)
    return mean + sd * (x - x.mean()) / x.std(ddof=1)


TWENTY = exact(20, -0.0070, 0.00805 / (2.093024 / np.sqrt(20)))
"""Mean −.0070, 95 % interval [−.01505, .00105]."""


@pytest.mark.parametrize(("margin", "verdict"), [(0.03, "established"), (0.015, "not_established")])
def test_a_bound_that_only_prints_like_the_margin_does_not_pass(margin, verdict):
    found = stats.assess_noninferiority(0.8 + TWENTY, np.full(20, 0.8), margin, "raters")
    assert found.verdict == verdict
    assert (found.difference.mean, found.difference.lo, found.difference.hi) == pytest.approx(
        (-0.0070, -0.01505, 0.00105), abs=1e-6
    )
    assert round(found.difference.lo, 3) == -0.015
    assert found.p == pytest.approx(ttest_1samp(TWENTY, -margin, alternative="greater").pvalue)
    assert found.p_wilcoxon == pytest.approx(wilcoxon(TWENTY + margin, alternative="greater").pvalue)
    assert found.p < 1e-5 if margin == 0.03 else found.p == pytest.approx(0.0256, abs=1e-4)


def test_no_significant_difference_is_not_non_inferiority():
    d = exact(6, -0.0184, 0.02746 * np.sqrt(6))
    assert ttest_1samp(d, 0).pvalue == pytest.approx(0.533, abs=0.01)
    found = stats.assess_noninferiority(0.8 + d, np.full(6, 0.8), 0.05, "raters")
    assert found.difference.lo == pytest.approx(-0.089, abs=1e-3)
    assert found.verdict == "not_established"


def test_where_lower_is_better_the_difference_is_turned_round():
    worse = stats.assess_noninferiority([2.0, 2.1, 2.2, 2.4], [1.0, 1.2, 1.1, 1.3], 0.5, "mm", higher_is_better=False)
    better = stats.assess_noninferiority([1.0, 1.2, 1.1, 1.3], [2.0, 2.1, 2.2, 2.4], 0.5, "mm", higher_is_better=False)
    assert (worse.verdict, better.verdict) == ("not_established", "established")
    assert (better.difference.mean, worse.difference.mean) == pytest.approx((1.025, -1.025))


@pytest.mark.parametrize("d", [[], [0.1], [0.0, 0.0, 0.0]])
def test_without_spread_nothing_is_established(d):
    found = stats.assess_noninferiority(0.8 + np.array(d), np.full(len(d), 0.8), 0.03, "raters")
    assert (found.verdict, found.p) == ("not_assessable", None)
    assert found.note


@pytest.mark.parametrize(("margin", "source", "why"), [(0.0, "raters", "above 0"), (0.03, " ", "needs its source")])
def test_a_margin_without_size_or_source_is_refused(margin, source, why):
    with pytest.raises(ValueError, match=why):
        stats.assess_noninferiority([0.8, 0.9], [0.8, 0.8], margin, source)


@pytest.mark.parametrize(("sd", "margin", "n"), [(0.05, 0.02, 50), (0.05, 0.03, 22), (0.10, 0.03, 88)])
def test_the_planned_number_follows_from_spread_and_margin(sd, margin, n):
    assert stats.planned_n(sd, margin) == n
    planned = stats.assess_noninferiority(exact(5, 0.8, 0.1), exact(6, 0.8, 0.1)[:5], margin, "raters", planned_sd=sd)
    assert (planned.planned_n, planned.note) == (n, None)
    assert "not a plan" in stats.assess_noninferiority([0.8, 0.9], [0.8, 0.8], margin, "raters").note


def test_the_margin_from_raters_is_half_their_disagreement():
    assert stats.margin_from_raters([0.9, 0.86]) == pytest.approx(0.06)
