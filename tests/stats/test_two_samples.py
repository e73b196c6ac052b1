"""Drift: golden values, false alarms as rare as they should be, and real changes seen."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from xmed import stats

X, Y = np.array([0.0, 1, 2]), np.array([2.0, 3, 4])


def test_mmd_of_three_and_three_by_hand():
    """§1.6: unbiased .31190; the biased one, .67893, would see drift where there is none."""
    found = stats.mmd_test(X, Y, sigma=1.0)
    assert found.value == pytest.approx(0.31190, abs=5e-6)
    k = lambda a, b: np.exp(-((a[:, None] - b[None]) ** 2) / 2)  # noqa: E731
    assert k(X, X).mean() + k(Y, Y).mean() - 2 * k(X, Y).mean() == pytest.approx(0.67893, abs=5e-6)
    assert found.p > 0.05, "three and three can be told apart in ten ways only"


def test_features_that_moved_are_found_and_others_raise_no_alarm():
    random = np.random.default_rng(0)
    base = random.normal(size=(40, 6))
    assert stats.mmd_test(base, random.normal(0.8, 1, size=(30, 6))).p <= 0.002
    alarms = [
        stats.mmd_test(random.normal(size=(15, 3)), random.normal(size=(15, 3)), permutations=199).p < 0.1
        for _ in range(40)
    ]
    assert sum(alarms) <= 9
    values = [
        stats.mmd_test(random.normal(size=(15, 3)), random.normal(size=(15, 3)), permutations=0).value
        for _ in range(100)
    ]
    assert np.mean(values) == pytest.approx(0, abs=0.01), "unbiased"


def test_the_width_of_the_kernel_is_the_median_distance():
    assert stats.mmd_test(X, Y).sigma == np.median([1, 2, 2, 3, 4, 1, 1, 2, 3, 0, 1, 2, 1, 2, 1])
    assert stats.mmd_test([1.0, 1, 1], [1.0, 1]).p is None
    with pytest.raises(ValueError, match="two of each"):
        stats.mmd_test([1.0], [1.0, 2.0])


def test_ks_of_three_and_three_by_hand():
    found = stats.ks_test(X, Y)
    assert (found.statistic, found.p) == (pytest.approx(0.6667, abs=1e-4), pytest.approx(0.6))
    assert stats.ks_test([], Y).p is None


def test_a_component_that_moved_is_named():
    random = np.random.default_rng(1)
    wide = random.normal(size=(60, 4)) * [5, 2, 1, 0.1]
    moved = random.normal(size=(60, 4)) * [5, 2, 1, 0.1] + [0, 4, 0, 0]
    found = stats.ks_component_tests(wide, moved, 3)
    assert len(found.shifts) == 3
    assert [p < 0.01 for p in found.p_holm] == [False, True, False]
    assert found.explained[0] > found.explained[1] > found.explained[2]
    assert min(stats.ks_component_tests(wide, wide[::-1]).p_holm) == 1.0


def test_a_small_shift_of_every_feature_becomes_one_component():
    random = np.random.default_rng(0)
    x, y = random.standard_normal((40, 32)), random.standard_normal((20, 32))
    same, moved = stats.ks_component_tests(x, y), stats.ks_component_tests(x, y + 0.5)
    assert min(same.p_holm) > 0.05
    assert min(moved.p_holm) < 1e-4
    assert list(moved.p_holm) == stats.holm_adjusted([one.p for one in moved.shifts])
    assert sum(stats.ks_component_tests(x[:, :3], y[:, :3]).explained) == pytest.approx(1)


def test_components_that_are_not_there_are_not_tested():
    line = np.outer(np.arange(10.0), [1, 2, 3])
    assert len(stats.ks_component_tests(line, line[::-1] + np.array([1, 2, 3])).shifts) == 1
    assert stats.ks_component_tests(np.ones((5, 3)), np.ones((4, 3))).shifts == ()
    assert stats.ks_component_tests(line, line[:1]).shifts == ()


def test_psi_by_hand():
    assert stats.psi([25] * 4, [1, 2, 3, 4]) == pytest.approx(0.22822, abs=5e-6)
    assert np.isfinite(stats.psi([10, 0], [5, 5]))
    x = np.random.default_rng(0).normal(size=500)
    assert stats.psi_of_values(x, x) == 0.0
    assert stats.psi_of_values(x, x + 1) > 0.25, "above .25 is customarily a major shift"
    assert stats.psi_of_values([1.0, 1.0], [1.0]) is stats.psi_of_values([], [1.0]) is None


def test_categories_are_compared_by_chi_squared_and_by_permutation_when_rare():
    many = stats.chi2_test(["GE"] * 30 + ["Philips"] * 20, ["GE"] * 10 + ["Philips"] * 40)
    assert many.p == pytest.approx(chi2_contingency([[30, 20], [10, 40]], correction=False).pvalue)
    few = stats.chi2_test(["GE"] * 3 + ["Philips"] * 2, ["GE"] + ["Philips"] * 4)
    assert few.method == "χ², permuted"
    assert few.p == pytest.approx(0.5238, abs=0.02), "Fisher's exact test"
    assert stats.chi2_test(["GE"], ["GE"]).p is None
