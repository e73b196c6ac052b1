"""Agreement: what a correlation of .9975 hides."""

import numpy as np
import pytest

from xmed import stats

REFERENCE, PREDICTED = [10, 20, 30, 40, 50], [11, 19, 33, 44, 56]


def test_limits_of_agreement_of_five_volumes_by_hand():
    """§1.5: bias 2.60, limits −2.70 and 7.90 (with ddof 0 −2.14 and 7.34), each ± 6.19."""
    found = stats.bland_altman(PREDICTED, REFERENCE)
    assert found.bias.mean == pytest.approx(2.6)
    assert (found.lower.value, found.upper.value) == (pytest.approx(-2.70, abs=5e-3), pytest.approx(7.90, abs=5e-3))
    for limit in (found.lower, found.upper):
        assert limit.hi - limit.value == pytest.approx(limit.value - limit.lo)
        assert limit.hi - limit.value == pytest.approx(6.19, abs=5e-3)
    assert found.pearson == pytest.approx(0.9975, abs=1e-4)
    assert found.ccc.mean < found.pearson


def test_an_error_that_grows_with_the_volume_is_seen_and_given_as_a_ratio():
    found = stats.bland_altman(PREDICTED, REFERENCE)
    assert found.slope.lo > 0
    assert found.ratio.lower < found.ratio.bias < found.ratio.upper
    scaled = stats.bland_altman([1.2 * v for v in REFERENCE], REFERENCE)
    assert scaled.ratio.bias == pytest.approx(1.2)
    even = stats.bland_altman([12, 19, 31, 39, 52], [10, 20, 30, 40, 50])
    assert even.slope.lo < 0 < even.slope.hi
    assert even.ratio is None


def test_icc_is_that_of_pingouin():
    """pingouin 0.7 intraclass_corr, ICC(A,1): 0.970534, CI95 [0.86, 0.99]."""
    found = stats.icc_a1([11, 19, 33, 44, 56, 23, 61, 38, 27, 50], [10, 20, 30, 40, 50, 25, 55, 41, 22, 47])
    assert found.mean == pytest.approx(0.970534, abs=1e-6)
    assert (round(found.lo, 2), round(found.hi, 2)) == (0.86, 0.99)


def test_concordance_is_lins_formula_and_its_interval_covers_as_often_as_it_says():
    x, y = np.array(PREDICTED, float), np.array(REFERENCE, float)
    lin = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert stats.ccc(PREDICTED, REFERENCE).mean == pytest.approx(lin)
    random, truth, inside = np.random.default_rng(0), 2 * 0.9 / (2 + 0.2**2), 0
    for _ in range(300):
        a, b = random.multivariate_normal([0, 0.2], [[1, 0.9], [0.9, 1]], 40).T
        found = stats.ccc(a, b)
        inside += found.lo <= truth <= found.hi
    assert 0.92 <= inside / 300 <= 0.98


@pytest.mark.parametrize("measure", [stats.ccc, stats.icc_a1])
def test_identical_volumes_agree_perfectly_and_constant_ones_not_at_all(measure):
    assert measure(REFERENCE, REFERENCE).mean == pytest.approx(1.0)
    assert measure(REFERENCE, REFERENCE).lo is None
    assert measure([3, 3, 3], [3, 3, 3]).mean is None
    assert measure([], []).mean is None


@pytest.mark.parametrize("n", [0, 1])
def test_of_one_patient_nothing_can_be_said(n):
    found = stats.bland_altman(PREDICTED[:n], REFERENCE[:n])
    assert found.lower is found.upper is found.ratio is None
    assert found.degenerate


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="two equally long lists"):
        stats.bland_altman([1, 2], [1])
