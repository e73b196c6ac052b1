"""Stats: a handful of patients must not be made to say more than they can."""

import numpy as np
import pytest
from scipy.stats import binom, permutation_test, t, ttest_1samp

from xmed import stats


def exact(n, sd):
    """n values of mean 0.8 and standard deviation `sd` (ddof 1)."""
    x = np.random.default_rng(n).standard_normal(n)
    return 0.8 + sd * (x - x.mean()) / x.std(ddof=1)


@pytest.mark.parametrize(("n", "width"), [(10, 0.143), (20, 0.094), (49, 0.0574)])
def test_the_t_interval_is_as_wide_as_so_few_patients_make_it(n, width):
    found = stats.mean_ci(exact(n, 0.10))
    assert found.hi - found.lo == pytest.approx(width, abs=5e-4)
    lo, hi = t.interval(0.95, n - 1, 0.8, 0.10 / np.sqrt(n))
    assert (found.mean, found.lo, found.hi, found.method) == (
        pytest.approx(0.8),
        pytest.approx(lo),
        pytest.approx(hi),
        "t",
    )


@pytest.mark.parametrize(("n", "width"), [(50, 0.057), (100, 0.040), (200, 0.028)])
def test_from_fifty_patients_on_the_bootstrap_takes_over(n, width):
    found = stats.mean_ci(exact(n, 0.10))
    assert found.method == "BCa bootstrap"
    assert found.hi - found.lo == pytest.approx(width, abs=0.004)
    assert found == stats.mean_ci(exact(n, 0.10)), "the same seed gives the same interval"


@pytest.mark.parametrize(
    ("values", "mean", "limits", "why"),
    [
        ([], None, (None, None), "no patient"),
        ([0.7], 0.7, (None, None), "one patient"),
        ([0.5] * 8, 0.5, (0.5, 0.5), "the same value"),
        ([0.5] * 80, 0.5, (0.5, 0.5), "the same value"),
    ],
)
def test_a_degenerate_interval_says_so_and_is_never_nan(values, mean, limits, why):
    found = stats.mean_ci(values)
    assert (found.mean, (found.lo, found.hi)) == (mean, limits)
    assert why in found.degenerate


def test_nan_may_not_enter_a_mean():
    with pytest.raises(ValueError, match="leave undefined ones out and count them"):
        stats.mean_ci([0.5, float("nan")])


@pytest.mark.parametrize(("n", "floor"), [(5, 0.0625), (6, 0.03125)])
def test_five_pairs_cannot_be_significant_however_clear(n, floor):
    found = stats.compare_paired(0.5 + 0.01 * np.arange(1, n + 1), np.full(n, 0.5))
    assert found.p_sign_flip == found.p_wilcoxon == found.smallest_p == pytest.approx(floor)
    assert (found.note is None) == (n == 6)
    if n == 5:
        assert found.note == "cannot reach p = 0.05 with 5 differing pairs"


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_p_value_depends_neither_on_the_unit_nor_on_the_order_of_patients(unit):
    """Sums of the same numbers in another order differ in their last digits; here every pair says the same."""
    random = np.random.default_rng(0)
    for n in (7, 9, 11):
        for _ in range(20):
            assert stats.compare_paired(unit * (0.1 + random.random(n)), np.zeros(n)).p_sign_flip == 2 / 2**n
    mixed = exact(9, 0.3) - 0.7
    once = stats.compare_paired(mixed, np.zeros(9)).p_sign_flip
    assert stats.compare_paired(unit * mixed[::-1], np.zeros(9)).p_sign_flip == once


def test_many_pairs_are_tested_by_drawn_sign_flips_that_agree_with_the_t_test():
    d = exact(40, 0.1) - 0.77
    found = stats.compare_paired(d, np.zeros(40))
    assert found.p_sign_flip == pytest.approx(ttest_1samp(d, 0).pvalue, abs=0.015)
    assert found.difference.mean == pytest.approx(0.03)


def test_pairs_that_do_not_differ_have_no_p_value():
    found = stats.compare_paired([0.5, 0.6], [0.5, 0.6])
    assert (found.p_sign_flip, found.p_wilcoxon, found.n_nonzero) == (None, None, 0)


def test_holm_adjusts_in_the_order_given():
    assert stats.holm_adjusted([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert stats.holm_adjusted([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert stats.holm_adjusted([0.9, 0.8]) == [1.0, 1.0]
    assert stats.holm_adjusted([]) == []


@pytest.mark.parametrize(("n", "upper"), [(20, 0.168), (50, 0.071), (100, 0.036)])
def test_no_failure_seen_is_not_no_failure(n, upper):
    assert stats.clopper_pearson(0, n) == (0.0, pytest.approx(upper, abs=5e-4))


def test_a_proportion_of_nobody_can_be_anything():
    assert stats.clopper_pearson(0, 0) == (0.0, 1.0)


def test_seeds_do_not_count_as_patients():
    values = {
        (seed, patient): base + 0.02 * seed for seed in (0, 1, 2) for patient, base in {"a": 0.6, "b": 0.8}.items()
    }
    by_patient, between_seeds = stats.seeds_and_patients(values)
    assert by_patient == {"a": pytest.approx(0.62), "b": pytest.approx(0.82)}
    assert between_seeds == pytest.approx(0.02)
    assert stats.mean_ci(list(by_patient.values())).n == 2
    assert stats.seeds_and_patients({(0, "a"): 0.6})[1] is None


def test_gap_closed_is_of_the_means_and_its_interval_is_over_patients():
    source, target = exact(12, 0.05) - 0.7, exact(12, 0.05)
    adapted = source + 0.75 * (target - source)
    found = stats.gap_closed_interval(source, adapted, target)
    assert (found.mean, found.lo, found.hi) == pytest.approx((0.75, 0.75, 0.75))
    rough = adapted + 0.1 * np.random.default_rng(0).standard_normal(12)
    found = stats.gap_closed_interval(source, rough, target)
    assert found.lo < found.mean < found.hi
    assert found == stats.gap_closed_interval(source, rough, target)


@pytest.mark.parametrize("gain", [0.0, 0.02, -0.1])
def test_a_gap_that_is_not_there_cannot_be_closed(gain):
    found = stats.gap_closed_interval([0.5, 0.5], [0.5, 0.6], [0.5 + gain, 0.5 + gain])
    assert (found.mean, found.lo, found.hi) == (None, None, None)
    assert found.degenerate == "supervision gains no more than 0.02"


def test_a_gap_that_only_some_patients_show_has_no_interval():
    found = stats.gap_closed_interval([0.5] * 4, [0.5, 0.5, 0.5, 0.7], [0.5, 0.5, 0.5, 0.9])
    assert found.mean == pytest.approx(0.5)
    assert found.lo is None
    assert "not certain enough" in found.degenerate


def test_one_patient_closes_a_gap_without_interval():
    assert stats.gap_closed_interval([0.1], [0.7], [0.9]).degenerate == "one patient has no interval"


def test_a_rank_is_certain_only_where_the_patients_agree():
    better, worse = [0.8, 0.9, 0.7, 0.8], [0.3, 0.4, 0.2, 0.3]
    assert stats.bootstrap_ranks([worse, better]) == [
        stats.RankInterval(2, 2, 2, 0.0),
        stats.RankInterval(1, 1, 1, 1.0),
    ]
    torn = stats.bootstrap_ranks([[0.1, 0.9, 0.5, 0.5], [0.9, 0.2, 0.5, 0.5]])
    assert [(one.lo, one.hi) for one in torn] == [(1, 2), (1, 2)]
    assert 0.8 < sum(one.first for one in torn) <= 1  # first is first alone: a tie counts for nobody


def test_equal_means_share_the_better_rank():
    assert [one.rank for one in stats.bootstrap_ranks([[0.1, 0.3], [0.2, 0.2], [0.0, 0.1]])] == [1, 1, 3]


def test_t_and_bootstrap_stand_side_by_side_for_any_number():
    x = exact(12, 0.10)
    t, boot = stats.t_ci(x), stats.bootstrap_ci(x)
    assert (t.method, boot.method) == ("t", "BCa bootstrap")
    assert t.hi - t.lo > boot.hi - boot.lo, "of twelve, the bootstrap is too sure"
    assert stats.bootstrap_ci(x[::-1]) == boot, "the order of patients never changes numbers"
    assert stats.t_ci(x).value == t.mean


def test_the_median_lies_between_two_of_the_patients():
    """n = 6: from the smallest to the largest, which holds 96.9 %."""
    found = stats.median_ci([3, 1, 2, 6, 5, 4])
    assert (found.value, found.lo, found.hi, found.coverage) == (3.5, 1, 6, pytest.approx(0.96875))
    assert (found.q1, found.q3) == (2.25, 4.75)
    five = stats.median_ci([3, 1, 2, 5, 4])
    assert (five.value, five.lo) == (3, None)
    assert five.degenerate == "5 values cannot give a median 95% limits"
    assert stats.median_ci([]).value is None
    assert stats.median_ci([0.5] * 9).degenerate == "all patients have the same value"


@pytest.mark.parametrize("n", [7, 10, 23, 60])
def test_the_median_interval_is_the_narrowest_that_covers_enough(n):
    found = stats.median_ci(np.arange(1.0, n + 1))
    k = int(found.lo) - 1
    assert found.hi == n - k
    covers = [1 - 2 * binom.cdf(j, n, 0.5) for j in (k, k + 1)]
    assert covers[0] == pytest.approx(found.coverage)
    assert covers[0] >= 0.95 > covers[1]


def test_a_proportion_has_the_one_sided_limit_that_safety_asks_for():
    found = stats.proportion_interval(0, 20)
    assert (found.value, found.hi, found.upper_one_sided) == (
        0.0,
        pytest.approx(0.168, abs=5e-4),
        pytest.approx(0.139, abs=5e-4),
    )
    assert stats.proportion_interval(0, 0).value is None


def test_one_difference_under_three_assumptions():
    found = stats.paired_sensitivity([0.8, 0.7, 0.9, 0.6, 0.75, 0.85], [0.7, 0.65, 0.8, 0.6, 0.6, 0.8])
    d = np.array([0.1, 0.05, 0.1, 0.0, 0.15, 0.05])
    assert found.p_t == pytest.approx(ttest_1samp(d, 0).pvalue)
    assert found.p_sign_flip == pytest.approx(
        permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    )
    assert found.t.mean == found.bootstrap.mean == pytest.approx(0.075)
    assert stats.paired_sensitivity([0.5, 0.5], [0.5, 0.5]).p_t is None


def test_identical_predictions_are_counted_not_dropped():
    """T21: Wilcoxon drops zeros; how many pairs are left is part of the answer."""
    found = stats.compare_paired([0.8, 0.7, 0.9, 0.6], [0.8, 0.7, 0.8, 0.5])
    assert (found.n_nonzero, found.difference.n, found.smallest_p) == (2, 4, 0.5)


def test_nothing_disappears_from_a_mean():
    """T2, T3: values used and values left out are all the cases there are."""
    found = stats.count_defined([0.833, None, 0.0])
    assert (found.values, found.n_cases, found.n_used, found.n_excluded) == ((0.833, 0.0), 3, 2, 1)
    with pytest.raises(ValueError, match="leave undefined ones out"):
        stats.count_defined([0.5, float("nan")])
    with pytest.raises(ValueError, match="are not 3 cases"):
        stats.Defined((0.5,), 3, 1, 1)


def test_the_mean_of_structures_is_of_their_patients_means():
    """T5: the same four cells give .6 and .5 to those who average otherwise."""
    assert stats.macro_mean({"a": {"p": 0.9, "q": 0.5}, "b": {"p": None, "q": 0.1}}) == pytest.approx(0.4)
    assert stats.macro_mean({"a": {"p": None}}) is None


def test_cases_of_one_patient_are_one_value_and_slices_would_make_the_interval_far_too_narrow():
    random = np.random.default_rng(0)
    patients = np.repeat([f"p{n}" for n in range(12)], 40)
    slices = random.normal(0.8, 0.07, 12).repeat(40) + random.normal(0, 0.05, 480)
    by_patient = stats.mean_by_patient(slices, patients)
    assert len(by_patient) == 12
    assert by_patient["p3"] == pytest.approx(slices[120:160].mean())
    honest, naive = stats.mean_ci(list(by_patient.values())), stats.mean_ci(slices)
    assert honest.hi - honest.lo > 4 * (naive.hi - naive.lo)
    assert stats.mean_by_patient([0.5, None, None], ["a", "a", "b"]) == {"a": 0.5}


def test_ranking_patient_by_patient_shares_ties_and_two_rankings_can_be_compared():
    values = [[0.9, 0.8, 0.7], [0.9, 0.6, 0.8], [0.1, 0.2, 0.3]]
    assert stats.mean_ranks(values) == pytest.approx([4.5 / 3, 4.5 / 3, 3.0])
    assert stats.kendall_tau([1, 2, 3], [1, 2, 3]) == 1.0
    assert stats.kendall_tau([1, 2, 3], [3, 2, 1]) == -1.0
    assert stats.kendall_tau([1, 1], [1, 2]) is None
