"""Joint shift: exact where it can be, adjusted for all groups, and no more false alarms than it says."""

from itertools import combinations

import numpy as np
import pytest

from xmed import stats


def rows(random, n, d=3, move=0.0):
    return random.normal(move, 1, (n, d))


def test_the_statistic_is_that_of_mmd2_and_p_counts_every_relabelling():
    """Columns of unit spread and a median without zeros: then both functions compute the same."""
    x, y = np.array([0.0, 1, 2]), np.array([2.0, 3, 4.5])
    both = np.concatenate([x, y])
    scaled = both / both.std()
    found = stats.joint_shift({"a": x[:, None]}, {"a": y[:, None]})
    apart = [abs(a - b) for a, b in combinations(scaled, 2)]
    sigma = np.median([one for one in apart if one > 0])
    assert found.groups["a"].mmd2 == pytest.approx(stats.mmd_test(scaled[:3], scaled[3:], sigma).value)
    assert (found.exact, found.labellings, found.floor) == (True, 20, 0.1), "each split and its mirror image"
    values = []
    for chosen in combinations(range(6), 3):
        rest = [n for n in range(6) if n not in chosen]
        values.append(stats.mmd_test(scaled[list(chosen)], scaled[rest], sigma, permutations=0).value)
    assert found.p == pytest.approx(np.mean(np.array(values) >= found.groups["a"].mmd2 - 1e-12))


def test_two_groups_by_hand():
    """3 and 2 patients: ten labellings. Only `a` separates; by chance some labelling of `b` is as far apart, too."""
    reference = {"a": np.array([[0.0], [0.1], [0.2]]), "b": np.array([[1.0], [5.5], [2.0]])}
    new = {"a": np.array([[9.0], [9.2]]), "b": np.array([[4.0], [3.0]])}
    found = stats.joint_shift(reference, new)
    assert (found.labellings, found.floor) == (10, 0.1)
    assert found.groups["a"].p == 0.1
    assert found.groups["a"].p_adjusted == found.p == 0.2, "the least p of `b` is 0.1, too, in another labelling"
    assert found.groups["b"].p_adjusted >= found.groups["b"].p


def test_false_alarms_are_as_rare_as_they_should_be_over_groups_that_hang_together():
    random, alarms = np.random.default_rng(3), 0
    for n in range(120):
        base = rows(random, 15)
        groups = {"a": base, "b": base + 0.3 * rows(random, 15), "c": rows(random, 15, 8)}
        old, new = ({name: x[part] for name, x in groups.items()} for part in (slice(9), slice(9, 15)))
        alarms += stats.joint_shift(old, new, labellings=400, seed=n).p <= 0.1
    assert alarms <= 20, "12 expected; 20 or more in one of a hundred such tests"


def test_a_group_that_moved_is_found_among_others_and_named():
    random = np.random.default_rng(1)
    reference = {name: rows(random, 10) for name in "abc"}
    new = {"a": rows(random, 6), "b": rows(random, 6, move=3.0), "c": rows(random, 6)}
    found = stats.joint_shift(reference, new)
    assert found.p == found.groups["b"].p_adjusted < 0.01
    assert min(found.groups[name].p_adjusted for name in "ac") > 0.05


def test_another_scanner_is_told_from_one_that_nearly_all_share():
    """Most distances are 0 here, and their median with them."""
    old, new = np.zeros((20, 1)), np.ones((4, 1))
    found = stats.joint_shift({"vendor": old}, {"vendor": new})
    assert found.p < 0.001
    assert stats.joint_shift({"vendor": old}, {"vendor": old[:4]}).p is None, "the same in all of them"


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="two of each"):
        stats.joint_shift({"a": np.zeros((3, 1))}, {"a": np.zeros((1, 1))})
    with pytest.raises(ValueError, match="finite"):
        stats.joint_shift({"a": np.zeros((3, 1))}, {"a": np.array([[1.0], [np.nan]])})
