"""Subgroups: who is served worse, without showing anybody."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import ttest_ind

from xmed import stats


def patients(**sizes):
    random = np.random.default_rng(0)
    level_of = {f"{name}{n}": name for name, size in sizes.items() for n in range(size)}
    return {p: float(random.normal(0.8 - 0.2 * (name == "b"), 0.05)) for p, name in level_of.items()}, level_of


def test_worst_group_gap_and_interaction_are_found():
    values, level_of = patients(a=12, b=10, c=11)
    found = stats.compare_subgroups(values, level_of)
    assert (found.worst, found.n, found.n_unknown) == ("b", 33, 0)
    assert found.gap.lo < 0.2 < found.gap.hi
    assert found.p_interaction < 0.01
    assert [one.n for one in found.levels] == [12, 10, 11]
    assert stats.compare_subgroups(values, level_of, higher_is_better=False).best == "b"


def test_between_two_groups_the_gap_is_welchs():
    values, level_of = patients(a=12, b=7)
    found = stats.compare_subgroups(values, level_of)
    a, b = ([values[p] for p in values if level_of[p] == name] for name in "ab")
    welch = ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (found.gap.lo, found.gap.hi) == pytest.approx((welch.low, welch.high), rel=1e-4)


def test_the_best_and_worst_of_three_are_less_certainly_apart_than_two_that_were_named_before():
    values, level_of = patients(a=12, b=7, c=9)
    three = stats.compare_subgroups(values, level_of)
    two = stats.compare_subgroups(
        {p: v for p, v in values.items() if level_of[p] in (three.best, three.worst)}, level_of
    )
    ratio = (three.gap.hi - three.gap.lo) / (two.gap.hi - two.gap.lo)
    assert 1.15 < ratio < 1.35, "Games and Howell: q(3) / √2 against t"


def test_groups_that_do_not_differ_have_no_small_p_more_often_than_chance():
    small = 0
    for n in range(40):
        random = np.random.default_rng(n)
        values = {str(i): float(random.normal()) for i in range(18)}
        small += stats.compare_subgroups(values, {p: "ab"[int(p) % 2] for p in values}).p_interaction < 0.1
    assert small <= 9


def test_fewer_than_five_are_not_inferred_from_and_fewer_than_three_not_shown():
    values, level_of = patients(a=8, b=4, c=2, d=2, e=6)
    found = {one.name: one for one in stats.compare_subgroups(values, level_of).levels}
    assert [found[name].suppressed for name in "abcde"] == [None, "inference", "display", "display", None]
    assert found["b"].mean.lo is None
    assert found["c"].n is found["c"].mean is None
    only = stats.compare_subgroups(*patients(a=8, b=4))
    assert only.worst is only.gap.mean is only.p_interaction is None
    assert "fewer than two levels" in only.note


def test_one_hidden_group_cannot_be_had_by_subtraction():
    values, level_of = patients(a=8, b=6, c=2)
    found = stats.compare_subgroups(values, level_of)
    assert {one.name: one.suppressed for one in found.levels} == {"a": None, "b": "complement", "c": "display"}
    assert found.gap.mean is None


@settings(max_examples=10, deadline=None)
@given(st.randoms())
def test_the_order_of_rows_never_changes_numbers(random):
    values, level_of = patients(a=8, b=6, c=4, d=1, e=2)
    shuffled = list(values)
    random.shuffle(shuffled)
    assert stats.compare_subgroups({p: values[p] for p in shuffled}, level_of) == stats.compare_subgroups(
        values, level_of
    )


def test_who_has_no_level_is_counted():
    values, level_of = patients(a=6, b=6)
    found = stats.compare_subgroups(values, {**level_of, "a0": None})
    assert (found.n, found.n_unknown) == (11, 1)


def test_thirds_by_size():
    found = stats.tertiles({str(n): float(n) for n in range(9)})
    assert [list(found.values()).count(size) for size in ("small", "middle", "large")] == [3, 3, 3]
    assert found["0"] == "small"
    assert set(stats.tertiles({"x": 1.0, "y": 1.0}).values()) == {"small"}
    assert stats.tertiles({}) == {}
